"""The contract suite on every strategy of the registry, with its default parameters."""

from __future__ import annotations

from labeltrain.strategies import registry
from labeltrain.testing import StrategyContract

for _name in registry.names():
    _class = "Test" + "".join(part.title() for part in _name.split("-"))
    globals()[_class] = type(_class, (StrategyContract,), {"strategy": registry.get(_name)})


def test_every_shipped_strategy_is_tested() -> None:
    tested = {c.strategy for c in globals().values() if hasattr(c, "strategy")}
    shipped = {registry.get(name) for name in registry.names()}  # other tests register their own
    assert {s for s in shipped if s.__module__.startswith("labeltrain.strategies.")} <= tested
    assert len(tested) >= 23
