"""Query strategies: which items should be labelled next?"""

from __future__ import annotations

from labeltrain.strategies.base import Need, Past, Picks, Round, Strategy
from labeltrain.strategies.registry import register
from labeltrain.strategies.view import PoolView

__all__ = ["Need", "Past", "Picks", "PoolView", "Round", "Strategy", "register"]
