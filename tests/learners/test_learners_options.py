"""Values that are no parameter of a learner."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from labeltrain.errors import BadInput
from labeltrain.learners import Model, make, registry
from labeltrain.learners.linear import Linear
from labeltrain.learners.mlp import MLPModel


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("width", "abc", "width='abc'"),
        ("width", 2.5, "width=2.5"),
        ("layers", True, "layers=True"),
        ("steps", 0, "steps=0"),
        ("dropout", "abc", "dropout='abc'"),
        ("dropout", False, "dropout=False"),
        ("learning_rate", float("inf"), "learning_rate=inf"),
        ("weight_decay", float("nan"), "weight_decay=nan"),
        ("device", 3, "device=3"),
    ],
)
def test_mlp_refuses_what_is_no_number(option: str, value: Any, message: str) -> None:
    with pytest.raises(BadInput, match=f"mlp: {message}"):
        make("mlp", {option: value})


def test_linear_names_the_option() -> None:
    with pytest.raises(BadInput, match="scale='abc'"):
        make("linear", {"scale": "abc"})


def test_what_a_constructor_raises_names_the_learner_and_the_option(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Fragile(Linear):
        name: ClassVar[str] = "fragile"
        model: ClassVar[type[Model]] = MLPModel

        def __init__(self, first: Any = 1, second: Any = 1) -> None:
            self.sum = int(first) + int(second)

    monkeypatch.setitem(registry._LEARNERS, "fragile", Fragile)
    with pytest.raises(BadInput, match=r"learner 'fragile': second=\[\] cannot be used: int"):
        make("fragile", {"first": 2, "second": []})
    assert make("fragile", {"first": 2})
