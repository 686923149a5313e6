"""Contract suites: inherit one, name your class, and pytest checks that it keeps the contract.

>>> from labeltrain.testing import StrategyContract
>>> from labeltrain.strategies.margin import Margin
>>> class TestMargin(StrategyContract):
...     strategy = Margin
"""

from __future__ import annotations

from labeltrain.testing.encoder import EncoderContract
from labeltrain.testing.learner import LearnerContract
from labeltrain.testing.pools import blobs, pool_view
from labeltrain.testing.strategy import StrategyContract

__all__ = ["EncoderContract", "LearnerContract", "StrategyContract", "blobs", "pool_view"]
