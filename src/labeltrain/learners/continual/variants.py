"""The variants of replay by name."""

from __future__ import annotations

from labeltrain.learners.continual.der import DER
from labeltrain.learners.continual.er import ER
from labeltrain.learners.continual.mir import MIR
from labeltrain.learners.continual.sd import SD
from labeltrain.learners.continual.sds2 import SDS2
from labeltrain.learners.continual.variant import Variant

VARIANTS: dict[str, type[Variant]] = {cls.name: cls for cls in (ER, MIR, DER, SD, SDS2)}
