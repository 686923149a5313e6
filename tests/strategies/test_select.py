"""`labeltrain.select`: arrays in, picks out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import labeltrain
from labeltrain.errors import BadInput, MissingNeed
from labeltrain.strategies import registry

SHIPPED = [n for n in registry.names() if registry.get(n).__module__.startswith("labeltrain.")]


def arrays(n: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(4), size=n)
    return {"embeddings": rng.normal(size=(n, 5)).astype(np.float32), "probabilities": p}


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(SHIPPED), st.integers(1, 40), st.integers(0, 50), st.integers(0, 20),
    st.integers(0, 3),
)  # fmt: skip
def test_budget_uniqueness_and_determinism(
    name: str, n: int, budget: int, known: int, seed: int
) -> None:
    labelled = np.random.default_rng(seed).permutation(n)[: min(known, n)]
    labels = labelled % 4
    first, second = (
        labeltrain.select(
            name, **arrays(n), labelled=labelled, labels=labels, budget=budget, seed=seed
        )
        for _ in range(2)
    )
    free = n - len(labelled)
    assert len(first.positions) == min(budget, free)
    assert first.exhausted == (budget > free)
    assert len(set(first.positions.tolist())) == len(first.positions)
    assert not set(first.positions.tolist()) & set(labelled.tolist())
    assert first.positions.tolist() == second.positions.tolist()


def test_ids_in_ids_out_and_masks() -> None:
    mask = np.zeros(3, dtype=bool)
    mask[1] = True
    p = [[0.5, 0.3, 0.2], [0.4, 0.35, 0.25], [0.9, 0.05, 0.05]]
    found = labeltrain.select(
        "margin", probabilities=np.array(p), labelled=mask, ids=["a", "b", "c"], budget=1
    )
    assert found.ids == ("a",)
    assert found.why == ("two classes almost equally likely",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"probabilities": np.array([[0.5, 0.6]])}, "row"),
        ({"probabilities": np.array([[np.nan, 1.0]])}, "NaN"),
        ({"probabilities": np.array([0.5, 0.5])}, "shape"),
        ({"labelled": [7]}, "outside"),
        ({"labelled": [-1]}, "outside"),
        ({"labelled": [0, 0]}, "twice"),
        ({"labelled": [0.5]}, "positions"),
        ({"labelled": [0], "labels": [1, 2]}, "2 labels for 1"),
        ({"budget": -1}, "budget"),
        ({"budget": 1.5}, "budget"),
        ({"budget": True}, "budget"),
        ({"embeddings": np.zeros((4, 2))}, "disagree"),
        ({"ids": ["a", "a"]}, "unique"),
        ({"embedings": np.zeros((2, 2))}, "did you mean 'embeddings'"),
    ],
)
def test_bad_arrays_are_refused(change: dict, message: str) -> None:
    given = {"probabilities": np.array([[0.5, 0.5], [0.3, 0.7]]), "budget": 1, **change}
    with pytest.raises(BadInput, match=message):
        labeltrain.select("margin", **given)


def test_a_missing_array_is_named() -> None:
    with pytest.raises(MissingNeed, match="probabilities"):
        labeltrain.select("margin", embeddings=np.zeros((3, 2)), budget=1)


def test_an_unknown_size_is_refused() -> None:
    with pytest.raises(BadInput, match="size of the pool"):
        labeltrain.select("random", budget=1)


def test_candidates_exclude_what_is_taken() -> None:
    found = labeltrain.select(
        "random", ids=list("abcdef"), labelled=[0], pending=[1], candidates=[0, 1, 2, 3], budget=9
    )
    assert sorted(found.ids) == ["c", "d"]
    assert found.exhausted
