"""The semi-supervised methods by name."""

from __future__ import annotations

from labeltrain.learners.semi.fixmatch import FixMatch
from labeltrain.learners.semi.flexmatch import FlexMatch
from labeltrain.learners.semi.freematch import FreeMatch
from labeltrain.learners.semi.mean_teacher import MeanTeacher
from labeltrain.learners.semi.pseudo_label import PseudoLabel
from labeltrain.learners.semi.softmatch import SoftMatch
from labeltrain.learners.semi.uda import UDA
from labeltrain.learners.semi.weighting import Weighting

METHODS: dict[str, type[Weighting]] = {
    cls.name: cls
    for cls in (PseudoLabel, FixMatch, FlexMatch, FreeMatch, SoftMatch, UDA, MeanTeacher)
}
