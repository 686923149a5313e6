"""The contract suite on every strategy of the registry, with its default parameters."""

from __future__ import annotations

from labeltrain.strategies import registry
from labeltrain.testing import StrategyContract

for _name in registry.names():
    _class = "Test" + "".join(part.title() for part in _name.split("-"))
    globals()[_class] = type(_class, (StrategyContract,), {"strategy": registry.get(_name)})


def test_every_shipped_strategy_is_tested() -> None:
    tested = {c.strategy for c in globals().values() if hasattr(c, "strategy")}
    assert {registry.get(name) for name in registry.names()} == tested
    assert len(tested) >= 5
