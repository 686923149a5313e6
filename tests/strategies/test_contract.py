"""The contract suite on every strategy of the registry, with its default parameters."""

from __future__ import annotations

from labeltrain.strategies import registry
from labeltrain.strategies.token_scores import UNCERTAINTIES
from labeltrain.testing import StrategyContract

QUIET = {"second-opinion": {"share": 0.0}}  # the suite lets nobody pick what is labelled
for _name in registry.names():
    _class = "Test" + "".join(part.title() for part in _name.split("-"))
    _body = {"strategy": registry.get(_name), "parameters": QUIET.get(_name, {})}
    globals()[_class] = type(_class, (StrategyContract,), _body)

# Parameters that take another path, or change what a strategy needs and keeps.
VARIANTS = (
    ("facility-location", {"kernel": "cosine"}),
    ("facility-location", {"uncertainty": 1.0}),
    ("facility-location", {"neighbours": 7}),
    ("facility-location", {"neighbours": 7, "approximate": True}),
    ("facility-location", {"memory": 1}),
    ("k-center", {"memory": 1}),
    ("bait", {"search": "swap"}),
    ("uherding", {"uncertainty": "entropy"}),
    ("seals", {"base": "badge"}),
    ("anchoral", {"base": "facility-location"}),
    ("similar", {"memory": 1}),
    ("cbal", {"weight": 100.0}),
    *(("token-uncertainty", {"score": score}) for score in UNCERTAINTIES),
    ("random-balanced", {"counting": False}),
    ("task-diversity", {"weighted": False}),
    ("task-diversity", {"within": "uncertainty"}),
    ("task-diversity", {"within": "uncertainty", "weighted": False, "counting": False}),
    ("task-diversity", {"confidence": "margin", "score": "min-margin"}),
    ("task-relevance", {"within": "similar"}),
    ("task-relevance", {"within": "similar", "floor": 2, "mixing": 0.3, "counting": False}),
    ("task-relevance", {"by": "gradients", "floor": 1}),
    ("filter-then-cover", {"cover": "k-center"}),
    ("filter-then-cover", {"covered": "pool", "kernel": "cosine"}),
    ("filter-then-cover", {"factor": 2.0, "normalise": False}),
    ("gist", {"score": "uniform", "diversity": 5.0}),
    ("gist", {"normalise": False, "tolerance": 0.5, "memory": 1}),
    ("fisher-sft", {"normalise": False, "regularisation": 1.0}),
    ("rds", {"aggregation": "mean"}),
    ("rds", {"aggregation": "max"}),
    ("rds", {"memory": 1}),
)
for _number, (_name, _parameters) in enumerate(VARIANTS):
    _class = f"TestVariant{_number}"
    _body = {"strategy": registry.get(_name), "parameters": _parameters}
    globals()[_class] = type(_class, (StrategyContract,), _body)


def test_every_shipped_strategy_is_tested() -> None:
    tested = {c.strategy for c in globals().values() if hasattr(c, "strategy")}
    shipped = {registry.get(name) for name in registry.names()}  # other tests register their own
    assert {s for s in shipped if s.__module__.startswith("labeltrain.strategies.")} <= tested
    assert len(tested) >= 29
