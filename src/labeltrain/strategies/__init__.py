"""Query strategies: which items should be labelled next?

The module is also a function: ``labeltrain.strategies()`` lists every strategy.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from labeltrain.strategies.base import Need, Past, Picks, Round, Strategy
from labeltrain.strategies.registry import register
from labeltrain.strategies.view import PoolView

__all__ = ["Need", "Past", "Picks", "PoolView", "Round", "Strategy", "register"]


class _Callable(ModuleType):
    """This module, which can be called."""

    def __call__(self) -> list[dict[str, Any]]:
        """List every strategy with what it needs: name, summary, needs, parameters and laws.

        Returns
        -------
        list of dict
            Prints as a table.

        Examples
        --------
        >>> import labeltrain
        >>> [s["needs"] for s in labeltrain.strategies() if s["name"] == "margin"]
        [['probabilities']]
        """
        from labeltrain.strategies.registry import describe

        return describe()


sys.modules[__name__].__class__ = _Callable
