"""`labeltrain.select`: arrays in, picks out."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import labeltrain
from labeltrain.errors import BadInput, BrokenContract, MissingNeed
from labeltrain.loop import inputs
from labeltrain.strategies import Need, Past, Picks, PoolView, Strategy, registry
from labeltrain.testing.pools import token_scores

SHIPPED = [n for n in registry.names() if registry.get(n).__module__.startswith("labeltrain.")]
P3 = np.array([[0.5, 0.3, 0.2], [0.4, 0.35, 0.25], [0.9, 0.05, 0.05]])


def arrays(n: int, seed: int = 0, m: int = 0) -> dict[str, Any]:
    """Return everything that a strategy can read."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(4), size=n)
    weights, bias = rng.normal(size=(4, 5)), rng.normal(size=4)

    def predict(features: np.ndarray) -> np.ndarray:
        odds = np.exp(features @ weights.T + bias)
        return odds / odds.sum(axis=1, keepdims=True)

    return {
        "embeddings": rng.normal(size=(n, 5)).astype(np.float32),
        "probabilities": p,
        "committee": rng.dirichlet(np.ones(4), size=(3, n)),
        "head": (weights, bias),
        "predict": predict,
        "out_of_fold": rng.dirichlet(np.ones(4), size=m),
        "prior": rng.dirichlet(np.ones(4), size=n),
        "groups": np.arange(n) % 3,
        "targets": rng.normal(size=(4, 5)),
        "posterior": rng.normal(size=(n, 3)),
        "scores": token_scores(n, rng),
    }


class Sequential(Strategy):
    """Goes up the positions while answers are 0, and down from the top after a 1."""

    name: ClassVar[str] = "test-sequential"
    sequential: ClassVar[bool] = True
    summary: ClassVar[str] = "for tests"

    def __init__(self, seen: list[PoolView] | None = None) -> None:
        self._seen = [] if seen is None else seen

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        self._seen.append(view)
        up = not any(past.answer == 1 for past in view.history)
        rows = view.candidates[:count] if up else view.candidates[::-1][:count]
        return Picks(rows, why="next", notes=tuple({"turn": len(view.history)} for _ in rows))


# -- every strategy ------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(SHIPPED), st.integers(1, 40), st.integers(0, 50), st.integers(0, 20),
    st.integers(0, 3),
)  # fmt: skip
def test_budget_uniqueness_and_determinism(
    name: str, n: int, budget: int, known: int, seed: int
) -> None:
    labelled = np.random.default_rng(seed).permutation(n)[: min(known, n)]
    labels = labelled % 4
    ask = (lambda p: p % 4) if registry.get(name).sequential else None
    kind = min(registry.get(name).kinds)  # multiclass, where it works on that
    if kind == "multilabel":
        labels = np.eye(4, dtype=np.int64)[labels]
    first, second = (
        labeltrain.select(
            name, **arrays(n, m=len(labelled)), labelled=labelled, labels=labels, budget=budget,
            seed=seed, ask=ask, kind=kind,
        )
        for _ in range(2)
    )  # fmt: skip
    free, picks = n - len(labelled), first.positions.tolist()
    again = set(picks) & set(labelled.tolist())
    if registry.get(name).asks_again:
        fresh = len(picks) - len(again)
        assert len(picks) <= budget
        assert min(budget, free) <= len(picks)
        assert first.exhausted == (fresh == free and len(picks) < budget)
    else:
        assert len(picks) == min(budget, free)
        assert first.exhausted == (budget > free)
        assert not again
    assert len(set(picks)) == len(picks)
    assert picks == second.positions.tolist()


@pytest.mark.parametrize("n", [1, 6, 23])
def test_what_is_asked_again_does_not_shorten_what_is_left(n: int) -> None:
    labels = np.arange(n) % 2
    p = np.column_stack([labels * 0.8 + 0.1, 0.9 - labels * 0.8])  # every label looks wrong
    found = labeltrain.select(
        "second-opinion", probabilities=p, out_of_fold=p, labelled=np.arange(n), labels=labels,
        budget=n, share=1.0,
    )  # fmt: skip
    assert (sorted(found.positions.tolist()), found.exhausted) == (list(range(n)), False)
    some = n // 2
    found = labeltrain.select(
        "second-opinion", probabilities=p, out_of_fold=p[:some], labelled=np.arange(some),
        labels=labels[:some], budget=n, share=1.0,
    )  # fmt: skip
    assert sorted(found.positions.tolist()) == list(range(n))


def test_a_selection_is_its_positions() -> None:
    found = labeltrain.select("margin", probabilities=P3, budget=2)
    assert np.asarray(found).tolist() == [1, 0]
    assert np.asarray(found).dtype == np.int64
    assert np.asarray(found, dtype=np.float32).dtype == np.float32
    assert P3[np.asarray(found)].shape == (2, 3)
    assert (len(found), found.answers, found.ids) == (2, None, (1, 0))
    assert found.scores == pytest.approx([0.05, 0.2])
    assert [(p.position, p.round, p.strategy) for p in found.history] == [
        (1, 1, "margin"), (0, 1, "margin"),
    ]  # fmt: skip


def test_ids_in_ids_out_and_masks() -> None:
    mask = np.array([False, True, False])
    for ids in (["a", "b", "c"], np.array(["a", "b", "c"]), pd.Series(["a", "b", "c"])):
        found = labeltrain.select("margin", probabilities=P3, labelled=mask, ids=ids, budget=1)
        assert found.ids == ("a",)
        assert found.why == ("two classes are almost even",)


# -- borders -------------------------------------------------------------------------------------


def test_nothing_is_picked_where_nothing_can_be() -> None:
    nothing = labeltrain.select("margin", probabilities=P3, budget=0)
    assert (len(nothing), nothing.exhausted, nothing.positions.dtype) == (0, False, np.int64)
    done = labeltrain.select("margin", probabilities=P3, labelled=[0, 1, 2], budget=1)
    assert (len(done), done.exhausted) == (0, True)
    empty = labeltrain.select("margin", probabilities=np.empty((0, 3)), budget=2)
    assert (len(empty), empty.exhausted) == (0, True)
    assert not labeltrain.select("margin", probabilities=P3, budget=3).exhausted


def test_candidates_exclude_what_is_taken() -> None:
    for candidates in ([0, 1, 2, 3], np.array([1, 1, 1, 1, 0, 0], dtype=bool)):
        found = labeltrain.select(
            "random", ids=list("abcdef"), labelled=[0], pending=[1], candidates=candidates, budget=9
        )
        assert sorted(found.ids) == ["c", "d"]
        assert found.exhausted


def test_a_budget_of_costs_is_not_exceeded() -> None:
    costs = [5.0, 1.0, 2.0, 2.0]
    p = np.array([[0.5, 0.5], [0.6, 0.4], [0.7, 0.3], [0.8, 0.2]])
    found = labeltrain.select("margin", probabilities=p, costs=costs, budget=4.5)
    assert sum(costs[i] for i in found.positions) <= 4.5
    assert not found.exhausted
    assert labeltrain.select("margin", probabilities=p, costs=costs, budget=99).exhausted


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"probabilities": np.array([[0.5, 0.6]])}, "row"),
        ({"probabilities": np.array([[np.nan, 1.0]])}, "NaN"),
        ({"probabilities": np.array([0.5, 0.5])}, "one column per class"),
        ({"probabilities": [[0.5, 0.5], [1.0]]}, "different lengths"),
        ({"probabilities": [["a", "b"], ["c", "d"]]}, "give numbers"),
        ({"probabilities": np.ma.masked_less([[0.5, 0.5], [0.1, 0.9]], 0.2)}, "masked"),
        ({"labelled": [7]}, "outside"),
        ({"labelled": [-1]}, "outside"),
        ({"labelled": [0, 0]}, "twice"),
        ({"labelled": [0.5]}, "positions"),
        ({"labelled": np.array([True])}, "mask of shape"),
        ({"labelled": [0], "labels": [1, 2]}, "2 labels for 1"),
        ({"labelled": [True, False], "labels": [1, 1]}, r"labels\[labelled\]"),
        ({"labelled": [0], "labels": [2]}, "there are 2 classes"),
        ({"labelled": [0], "labels": [-1]}, "leave items without a label out"),
        ({"labelled": [0], "labels": [None]}, "neither a name nor a number"),
        ({"labelled": [0], "labels": [np.nan]}, "without a label"),
        ({"labelled": [0], "labels": ["cat"]}, r"give classes=\[...\]"),
        ({"labelled": [0], "labels": ["cot"], "classes": ["cat", "dog"]}, "did you mean 'cat'"),
        ({"classes": ["cat", "dog", "cow"]}, "3 classes, but 2 columns"),
        ({"classes": ["cat", "cat"]}, "twice"),
        ({"budget": -1}, "budget"),
        ({"budget": 1.5}, "budget"),
        ({"budget": True}, "budget"),
        ({"budget": "3"}, "budget"),
        ({"seed": 0.5}, "seed"),
        ({"kind": "regression"}, "known: multiclass"),
        ({"embeddings": np.zeros((4, 2))}, "disagree"),
        ({"committee": [np.full((2, 3), 1 / 3)]}, "number of classes"),
        ({"committee": np.full((2, 2), 0.5)}, "committee has shape"),
        ({"committee": [np.full((2, 2), 0.5), np.full((3, 2), 0.5)]}, "members"),
        ({"ids": ["a", "a"]}, "unique"),
        ({"embedings": np.zeros((2, 2))}, "did you mean 'embeddings'.*arrays: committee"),
        ({"bugdet": 3}, "did you mean 'budget'"),
        ({"proba": np.ones((2, 2))}, "did you mean 'probabilities'"),
        ({"features": np.ones((2, 2))}, "did you mean 'embeddings'"),
        ({"n_instances": 3}, "did you mean 'budget'"),
        ({"probabilities": np.full((2, 2), 3.0)}, "softmax"),
        ({"probabilities": np.full((2, 2), 3.0), "kind": "multilabel"}, "outside .*expit"),
        ({"out_of_fold": np.full((2, 2), 0.5), "labelled": [0]}, "2 rows for 1"),
        ({"predict": 3}, "no function"),
        ({"head": np.zeros((2, 2))}, "no pair"),
        ({"parallel": float("inf")}, "parallel=inf"),
        ({"ids": [{}, {1: 2}]}, "give names or numbers"),
        ({"budget": np.True_}, "budget"),
        ({"head": (np.zeros((2, 2)), np.zeros(1))}, "as coef_ and intercept_"),
        ({"scores": np.zeros(2)}, "give a mapping"),
        ({"costs": [-1.0, 1.0]}, "negative"),
        ({"embeddings": np.zeros((2, 2)), "targets": np.zeros((3, 4))}, "4"),
        ({"ask": lambda p: p}, "never asks"),
    ],
)
def test_bad_arrays_are_refused(change: dict, message: str) -> None:
    given = {"probabilities": np.array([[0.5, 0.5], [0.3, 0.7]]), "budget": 1, **change}
    with pytest.raises(BadInput, match=f"(?s){message}"):
        labeltrain.select("margin", **given)


def test_a_missing_array_is_named() -> None:
    with pytest.raises(MissingNeed, match=r"(?s)probabilities.*\(n, C\)"):
        labeltrain.select("margin", embeddings=np.zeros((3, 2)), budget=1)
    only = type("Only", (Sequential,), {"kinds": frozenset({"multiclass"})})()
    with pytest.raises(MissingNeed, match="multilabel"):
        labeltrain.select(only, ids=["a", "b"], budget=1, kind="multilabel")


def test_an_unknown_size_is_refused() -> None:
    with pytest.raises(BadInput, match="size of the pool"):
        labeltrain.select("random", budget=1)
    assert len(labeltrain.select("random", labelled=np.array([True, False, False]), budget=9)) == 2


def test_bad_rows_are_named_in_any_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "CHECKED_AT_ONCE", 64)
    points = np.zeros((100, 4), dtype=np.float16)
    points[[3, 50, 51, 52, 53, 99], 1] = np.inf
    with pytest.raises(BadInput, match=r"row\(s\) \[3, 50, 51, 52, 53\] \(6 in all\)"):
        labeltrain.select("random", embeddings=points, budget=1)
    huge = np.full((100, 4), 6e4, dtype=np.float16)  # finite, though their sum is not
    assert len(labeltrain.select("random", embeddings=huge, budget=1)) == 1


# -- strategies, parameters, listing -------------------------------------------------------------


class Shown(Strategy):
    """Keeps the view it was given."""

    name: ClassVar[str] = "test-shown"
    needs: ClassVar[frozenset[Need]] = frozenset()
    summary: ClassVar[str] = "for tests"

    def __init__(self, share: float = 0.5, must: Any = None) -> None:
        self.share = share
        self.must = must

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        self._view = view
        return Picks(view.candidates[:count])


@pytest.fixture
def shown() -> Iterator[type[Strategy]]:
    registry.register(Shown)
    yield Shown
    registry._registered.pop("test-shown")


def seen(**given: Any) -> PoolView:
    strategy = Shown()
    labeltrain.select(strategy, budget=1, **given)
    return strategy._view


def test_options_are_parameters_of_the_strategy(shown: type[Strategy]) -> None:
    assert len(labeltrain.select("test-shown", ids=list("abc"), budget=1, share=0.1)) == 1
    with pytest.raises(BadInput, match=r"(?s)no parameter 'shar'.*did you mean 'share'"):
        labeltrain.select("test-shown", ids=list("abc"), budget=1, shar=0.1)
    with pytest.raises(BadInput, match="made already"):
        labeltrain.select(Shown(), ids=list("abc"), budget=1, share=0.1)
    with pytest.raises(BadInput, match="give a name"):
        labeltrain.select(Shown, ids=list("abc"), budget=1)
    with pytest.raises(BadInput, match="did you mean 'margin'"):
        labeltrain.select("margn", ids=list("abc"), budget=1)


def test_strategies_lists_what_each_needs(shown: type[Strategy]) -> None:
    cards = {card["name"]: card for card in labeltrain.strategies()}
    assert set(SHIPPED) < set(cards)
    assert cards["margin"]["needs"] == ["probabilities"]
    assert cards["test-shown"]["parameters"] == {"share": 0.5, "must": None}
    assert {"kinds", "sequential", "deterministic", "nested", "summary"} <= cards["margin"].keys()
    assert "margin" in repr(labeltrain.strategies())
    assert labeltrain.strategies.Need is Need  # the function is the package, too


def test_a_broken_strategy_is_named() -> None:
    class Broken(Shown):
        def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
            return Picks(np.array([0, 0]))

    with pytest.raises(BrokenContract, match="test-shown"):
        labeltrain.select(Broken(), ids=list("abc"), budget=2)


# -- labels --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "classes", "probabilities", "codes", "names"),
    [
        ([2, 0], None, P3, [2, 0], "0 1 2"),
        (["c", "a"], ["a", "b", "c"], P3, [2, 0], "a b c"),
        ([2, 0], ["a", "b", "c"], P3, [2, 0], "a b c"),
        ([30, 10], [10, 20, 30], P3, [2, 0], "10 20 30"),
        (["dog", "cat"], None, None, [1, 0], "cat dog"),
        ([4, 1], None, None, [4, 1], "0 1 2 3 4"),
        ([1, 0], 7, None, [1, 0], "0 1 2 3 4 5 6"),
        ([True, False], None, None, [1, 0], "0 1"),
        ([1.0, 0.0], None, P3, [1, 0], "0 1 2"),
        (pd.Series(["c", "a"], dtype="category"), list("abc"), P3, [2, 0], "a b c"),
        (pd.Series(["c", "a"], index=[9, 3]), list("abc"), P3, [2, 0], "a b c"),
        (pd.Series([2, 0], dtype="Int64"), None, P3, [2, 0], "0 1 2"),
        (pl.Series(["c", "a"]), list("abc"), P3, [2, 0], "a b c"),
        (pl.Series(["c", "a"], dtype=pl.Categorical), list("abc"), P3, [2, 0], "a b c"),
        (pa.array(["c", "a"]), list("abc"), P3, [2, 0], "a b c"),
        (torch.tensor([2, 0]), None, torch.tensor(P3), [2, 0], "0 1 2"),
    ],
)
def test_labels_become_class_indices(
    labels: Any, classes: Any, probabilities: Any, codes: list[int], names: str
) -> None:
    view = seen(
        ids=list("abc"),
        probabilities=probabilities,
        labelled=[2, 1],
        labels=labels,
        classes=classes,
    )
    assert view.labels.tolist() == codes
    assert view.labelled.tolist() == [2, 1]
    assert view.classes == tuple(names.split())


def test_multilabel_rows() -> None:
    p = np.array([[0.9, 0.4], [0.2, 0.8], [0.5, 0.5]])
    view = seen(probabilities=p, labelled=[0], labels=[[1, 0]], kind="multilabel")
    assert view.labels.tolist() == [[1, 0]]
    assert seen(probabilities=p, kind="multilabel").labels.shape == (0, 2)
    for bad in ([[1, 0, 1]], [[2, 0]], [1]):
        with pytest.raises(BadInput, match=r"0/1|0 and 1"):
            seen(probabilities=p, labelled=[0], labels=bad, kind="multilabel")


def test_reading_labels_that_were_not_given_is_an_error() -> None:
    view = seen(ids=list("abc"), labelled=[0])
    with pytest.raises(MissingNeed, match="give labels"):
        _ = view.labels
    assert seen(ids=list("abc")).labels.tolist() == []


def test_the_committee_gives_the_probabilities() -> None:
    members = np.random.default_rng(0).dirichlet(np.ones(3), size=(4, 6))
    for some in (members, list(members), [torch.tensor(m) for m in members]):
        view = seen(committee=some)
        np.testing.assert_allclose(view.probabilities, members.mean(axis=0))
        assert view.committee.shape == (4, 6, 3)


def test_scores_have_names() -> None:
    values = [0.1, 0.2]
    for scores in (
        {"entropy": values}, pd.DataFrame({"entropy": values}), pl.DataFrame({"entropy": values}),
        pd.Series(values, name="entropy"), pl.Series("entropy", values),
    ):  # fmt: skip
        assert seen(scores=scores).scores["entropy"].tolist() == values


# -- other libraries -----------------------------------------------------------------------------

E = np.random.default_rng(1).normal(size=(12, 4)).astype(np.float32)
WIDE = {f"f{i}": E[:, i] for i in range(4)}
CONTAINERS: dict[str, Callable[[], Any]] = {
    "list": lambda: E.tolist(),
    "fortran": lambda: np.asfortranarray(E),
    "big endian": lambda: E.astype(">f4"),
    "long double": lambda: E.astype(np.longdouble),
    "object": lambda: E.astype(object),
    "column of vectors": lambda: pd.Series(list(E)).to_numpy(),
    "torch": lambda: torch.tensor(E),
    "torch with gradient": lambda: torch.nn.Parameter(torch.tensor(E)),
    "torch sparse": lambda: torch.tensor(E).to_sparse(),
    "list of tensors": lambda: [torch.tensor(row) for row in E],
    "csr array": lambda: sparse.csr_array(E),
    "coo matrix": lambda: sparse.coo_matrix(E),
    "pandas": lambda: pd.DataFrame(WIDE, index=np.arange(12)[::-1]),
    "pandas nullable": lambda: pd.DataFrame(WIDE).convert_dtypes(),
    "pandas column": lambda: pd.Series([row.tolist() for row in E], index=np.arange(12)[::-1]),
    "pandas frame of one column": lambda: pd.DataFrame({"v": list(E)}),
    "pandas arrow column": lambda: pd.Series(
        [row.tolist() for row in E], dtype=pd.ArrowDtype(pa.list_(pa.float32()))
    ),
    "polars": lambda: pl.DataFrame(WIDE),
    "polars list column": lambda: pl.Series("v", E.tolist()),
    "polars array column": lambda: pl.Series("v", E, dtype=pl.Array(pl.Float32, 4)),
    "polars frame of one column": lambda: pl.DataFrame({"v": E.tolist()}),
    "arrow fixed": lambda: pa.FixedSizeListArray.from_arrays(pa.array(E.ravel()), 4),
    "arrow chunks": lambda: pa.chunked_array([pa.array(E[:5].tolist()), pa.array(E[5:].tolist())]),
    "arrow slice": lambda: pa.array(np.concatenate([E[:2], E]).tolist())[2:],
    "arrow table": lambda: pa.table({"v": E.tolist()}),
    "arrow wide table": lambda: pa.table(WIDE),
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_containers_give_the_same_picks(container: str) -> None:
    given = CONTAINERS[container]()
    view = seen(embeddings=given, labelled=[1])
    np.testing.assert_allclose(view.embeddings, E, rtol=1e-6)
    assert view.embeddings.dtype.isnative
    plain = labeltrain.select("k-center", embeddings=E, labelled=[1], budget=5)
    found = labeltrain.select("k-center", embeddings=given, labelled=[1], budget=5)
    assert found.positions.tolist() == plain.positions.tolist()


def test_bfloat16_becomes_float32() -> None:
    view = seen(
        embeddings=torch.tensor(E).bfloat16(),
        probabilities=torch.softmax(torch.tensor(E), dim=1).bfloat16(),
    )
    assert view.embeddings.dtype == np.float32
    np.testing.assert_allclose(view.embeddings, E, rtol=1e-2)


@pytest.mark.parametrize("mask", [
    np.arange(12) % 2 == 0, (np.arange(12) % 2 == 0).tolist(), torch.arange(12) % 2 == 0,
    pd.Series(np.arange(12) % 2 == 0), pd.Series(np.arange(12) % 2 == 0, dtype="boolean"),
    pl.Series((np.arange(12) % 2 == 0).tolist()), np.arange(0, 12, 2), range(0, 12, 2),
    pd.Index(range(0, 12, 2)), torch.arange(0, 12, 2), pl.Series(list(range(0, 12, 2))),
])  # fmt: skip
def test_masks_and_positions_of_any_library(mask: Any) -> None:
    view = seen(embeddings=E, labelled=mask, groups=pl.Series(["a", "b"] * 6))
    assert view.labelled.tolist() == list(range(0, 12, 2))
    assert view.groups.tolist() == ["a", "b"] * 6


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (pd.DataFrame({"a": [1.0], "b": ["x"]}), r"column\(s\) 'b'"),
        (pl.DataFrame({"a": [1.0], "b": ["x"]}), r"column\(s\) 'b'"),
        (pd.DataFrame({"a": ["x", "y"]}), "not numbers|give numbers"),
        (pd.Series([[1.0, 2.0], [1.0]]), "row 1 of embeddings has shape"),
        (pl.Series([[1.0, 2.0], [1.0]]), "entries"),
        (pl.Series([[1.0, None], [1.0, 2.0]]), "missing"),
        (pd.DataFrame({"a": pd.array([1, None], dtype="Int64"), "b": [1, 2]}), r"row\(s\) \[1\]"),
        (pl.LazyFrame({"a": [1.0]}), "collect"),
        (np.array([[1j]]), "complex"),
        (sparse.csr_array(np.array([[1j]])), "complex"),
        (np.zeros((2, 2), dtype="M8[s]"), "give numbers"),
    ],
)
def test_bad_containers_are_refused(given: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        labeltrain.select("random", embeddings=given, budget=1)


def test_a_sparse_matrix_too_large_to_be_dense_is_refused() -> None:
    wide = sparse.csr_array((2_000_000, 1_000), dtype=np.float32)
    with pytest.raises(BadInput, match=r"(?s)7\.5 GiB, the limit is 4 GiB.*TruncatedSVD"):
        labeltrain.select("random", embeddings=wide, budget=1)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_memory_map_is_not_copied(tmp_path: Path, dtype: type) -> None:
    np.save(tmp_path / "e.npy", E.astype(dtype))
    (tmp_path / "e.npy").chmod(0o444)
    mapped = np.load(tmp_path / "e.npy", mmap_mode="r")
    view = seen(embeddings=mapped, probabilities=np.abs(E) / np.abs(E).sum(1, keepdims=True))
    assert np.shares_memory(view.embeddings, mapped)
    assert view.embeddings.dtype == dtype
    assert not view.embeddings.flags.writeable
    assert len(labeltrain.select("k-center", embeddings=mapped, budget=3)) == 3


def test_integers_become_float32() -> None:
    assert seen(embeddings=np.arange(6).reshape(3, 2)).embeddings.dtype == np.float32


def test_checking_a_large_array_is_quick() -> None:
    points = np.zeros((200_000, 64), dtype=np.float32)
    started = time.perf_counter()
    labeltrain.select("random", embeddings=points, budget=5)
    assert time.perf_counter() - started < 2.0  # about 0.03 s


# -- sequential strategies -----------------------------------------------------------------------


def test_a_sequential_strategy_sees_every_answer() -> None:
    views: list[PoolView] = []
    asked: list[list[int]] = []

    def ask(positions: np.ndarray) -> list[str | None]:
        asked.append(positions.tolist())
        return [None if p == 3 else "yes" if p == 4 else "no" for p in positions]

    found = labeltrain.select(
        Sequential(views), ids=list("abcdefghij"), labelled=[0], labels=["no"],
        classes=["no", "yes"], ask=ask, budget=6,
    )  # fmt: skip
    assert asked == [[1], [2], [3], [4], [9], [8]]
    assert found.positions.tolist() == [1, 2, 3, 4, 9, 8]
    assert found.answers == ("no", "no", None, "yes", "no", "no")
    assert found.notes[2] == {"turn": 2}
    last = views[-1]
    assert last.labelled.tolist() == [0, 1, 2, 4, 9]  # 3 was skipped
    assert last.labels.tolist() == [0, 0, 0, 1, 0]
    assert last.candidates.tolist() == [5, 6, 7, 8]
    assert (last.round.spent, last.round.budget) == (5, 6)
    assert last.history[2] == Past(3, 1, None, {"turn": 2}, "test-sequential")
    assert last.history[3].answer == 1
    assert not found.exhausted


def test_history_goes_on_in_the_next_call() -> None:
    first = labeltrain.select(
        Sequential(), ids=list("abcdef"), ask=lambda p: [1], classes=2, budget=1
    )
    views: list[PoolView] = []
    labeltrain.select(
        Sequential(views), ids=list("abcdef"), labelled=[0], labels=[1], classes=2, ask=lambda p: 0,
        budget=1, history=first.history,
    )  # fmt: skip
    assert views[0].candidates[-1] == 5
    assert [past.round for past in views[0].history] == [1]
    assert views[0].round.number == 2


def test_several_are_asked_in_parallel_and_the_pool_may_end() -> None:
    sizes: list[int] = []

    def ask(positions: np.ndarray) -> Any:
        sizes.append(len(positions))
        return torch.zeros(len(positions), dtype=torch.int64)

    found = labeltrain.select(
        Sequential(), ids=list("abcdefg"), ask=ask, classes=2, parallel=3, budget=99
    )
    assert sizes == [3, 3, 1]
    assert found.exhausted


def test_out_of_fold_rows_follow_the_answers() -> None:
    views: list[PoolView] = []
    p = np.random.default_rng(0).dirichlet(np.ones(2), size=8)
    labeltrain.select(
        Sequential(views), probabilities=p, labelled=[5], labels=[0], ask=lambda q: [0] * len(q),
        out_of_fold=[[0.25, 0.75]], budget=3,
    )  # fmt: skip
    last = views[-1]
    assert len(last.out_of_fold) == len(last.labelled) == 3
    np.testing.assert_allclose(last.out_of_fold[1:], p[last.labelled[1:]])


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda p: [0, 1], "2 labels for 1"),
        (lambda p: ["x"], "names such as 'x'"),
        (lambda p: [9], "there are 2 classes"),
    ],
)
def test_bad_answers_are_refused(ask: Callable[..., Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        labeltrain.select(Sequential(), ids=list("abc"), classes=2, ask=ask, budget=1)


def test_a_sequential_strategy_without_ask_is_refused() -> None:
    with pytest.raises(MissingNeed, match="give ask"):
        labeltrain.select(Sequential(), ids=list("abc"), budget=1)
    with pytest.raises(MissingNeed, match="labels"):
        labeltrain.select(
            Sequential(), ids=list("abc"), labelled=[0], ask=lambda p: 0, classes=2, budget=1
        )
    with pytest.raises(BadInput, match="0 classes in the labels so far"):
        labeltrain.select(Sequential(), ids=list("abc"), ask=lambda p: 0, budget=1)


def test_nothing_warns() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for make in CONTAINERS.values():
            seen(embeddings=make())


def test_numbers_whose_squares_overflow_are_refused() -> None:
    E = np.ones((5, 3))
    E[3, 1] = 1e20
    with pytest.raises(BadInput, match=r"embeddings is beyond 1e\+15 in row\(s\) \[3\]"):
        labeltrain.select("k-center", embeddings=E, budget=2)


def test_none_stands_for_what_is_not_given() -> None:
    E = np.random.default_rng(0).normal(size=(20, 3))
    nothing = dict.fromkeys(
        ("probabilities", "committee", "labelled", "labels", "groups", "candidates", "ask")
    )
    plain = labeltrain.select("k-center", embeddings=E, budget=3)
    again = labeltrain.select("k-center", embeddings=E, budget=3, pending=None, **nothing)
    assert again.positions.tolist() == plain.positions.tolist()


@pytest.mark.parametrize(
    ("predict", "message"),
    [
        (lambda x: np.full((len(x), 2), np.nan), "what predict returned is NaN"),
        (lambda x: np.full((len(x) + 1, 2), 0.5), "predict returned 21 rows for 20"),
        (lambda x: x[:, 0], "what predict returned has one value per item"),
    ],
)
def test_what_predict_returns_is_checked(predict: Any, message: str) -> None:
    E = np.random.default_rng(0).normal(size=(20, 3))
    with pytest.raises(BadInput, match=message):
        labeltrain.select("dropquery", embeddings=E, predict=predict, budget=2)


# -- what people try ----------------------------------------------------------------------------


def test_a_selection_can_be_gone_through_and_shown() -> None:
    found = labeltrain.select("margin", probabilities=np.tile(P3, (10, 1)), budget=12)
    assert list(found) == found.positions.tolist()
    assert found[:2].tolist() == list(found)[:2]
    assert repr(found).startswith("Selection(12 picks: [")
    assert len(repr(found)) < 100


def test_costs_leave_nothing_that_could_be_bought() -> None:
    p = np.array([[0.5, 0.5], [0.6, 0.4], [0.7, 0.3], [0.8, 0.2], [0.9, 0.1]])
    # The most doubtful item is not affordable, and the next two leave room for the last.
    costs = [9.0, 2.0, 2.5, 4.0, 1.0]
    found = labeltrain.select("margin", probabilities=p, costs=costs, budget=6)
    assert found.positions.tolist() == [1, 2, 4]
    rng = np.random.default_rng(0)
    for name in ("random", "k-center", "badge", "facility-location", "typiclust"):
        given = arrays(60) | {"costs": rng.uniform(0.5, 5.0, 60)}
        given = {k: given[k] for k in ("embeddings", "probabilities", "costs")}
        found = labeltrain.select(name, budget=30, **given)
        spent = given["costs"][found.positions].sum()
        left = np.setdiff1d(np.arange(60), found.positions)
        assert spent <= 30 + 1e-9 < spent + given["costs"][left].min() + 1e-6
        assert len(set(found)) == len(found)


@pytest.mark.parametrize("name", ["random", "k-center", "facility-location", "clusters"])
def test_without_classes_what_reads_no_predictions_works(name: str) -> None:
    found = labeltrain.select(
        name, embeddings=arrays(30)["embeddings"], labelled=[1, 2], kind="none", budget=3
    )
    assert len(found) == 3
    with pytest.raises(MissingNeed, match="without classes"):
        labeltrain.select("margin", probabilities=P3, kind="none", budget=1)


def test_ids_of_any_types_come_back_as_they_are() -> None:
    ids = [1, ("a", 2), None]
    assert set(labeltrain.select("margin", probabilities=P3, ids=ids, budget=3).ids) == set(ids)


def test_a_second_turn_of_a_budget_of_costs_keeps_away_from_the_first() -> None:
    seen: list[list[int]] = []

    class Watcher(Strategy):
        name: ClassVar[str] = "test-watcher"

        def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
            seen.append(view.pending.tolist())
            return Picks(view.candidates[:count])

    costs = [2.0, 3.0, 1.0, 1.0]
    found = labeltrain.select(Watcher(), embeddings=np.eye(4), pending=[3], costs=costs, budget=3.5)
    assert found.positions.tolist() == [0, 2]
    assert seen == [[3], [3, 0]]


def test_columns_in_another_order_than_classes_are_refused_and_numbered_ones_are_not() -> None:
    frame = pd.DataFrame(P3)
    labeltrain.select("margin", probabilities=frame, classes=[1, 2, 3], budget=1)
    frame.columns = ["b", "a", "c"]
    with pytest.raises(BadInput, match="classes=list"):
        labeltrain.select("margin", probabilities=frame, classes=["a", "b", "c"], budget=1)


def test_whole_numbers_may_be_written_with_an_exponent() -> None:
    E = np.random.default_rng(0).normal(size=(9, 2))
    assert len(labeltrain.select("k-center", embeddings=E, budget=2, memory=1e9)) == 2
    with pytest.raises(BadInput, match="whole number"):
        labeltrain.select("k-center", embeddings=E, budget=2, memory=1.5)


def test_what_a_strategy_misses_when_it_is_made_is_passed_on() -> None:
    class Picky(Strategy):
        name: ClassVar[str] = "test-picky"

        def __init__(self, memory: Any = None) -> None:
            if memory is None:
                raise MissingNeed("a package is missing", "install it")

        def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
            return Picks(view.candidates[:count])

    registry.register(Picky)
    try:
        with pytest.raises(MissingNeed, match="install it"):
            labeltrain.select("test-picky", embeddings=np.eye(2), budget=1)
        assert len(labeltrain.select("test-picky", embeddings=np.eye(2), budget=1, memory="2G"))
    finally:
        del registry._registered["test-picky"]


@pytest.mark.parametrize(
    ("strategy", "change", "message"),
    [
        ("margin", {"parallel": 0}, "parallel=0"),
        ("k-center", {"memory": -1}, "memory=-1"),
        ("max-herding", {"bandwidth": 1e-200}, "bandwidth is 1e-200"),
        ("max-herding", {"bandwidth": 1e200}, "bandwidth is 1e"),
        ("facility-location", {"gamma": 1e300}, "gamma is 1e"),
        ("prob-cover", {"delta": 3.0}, "of length 1"),
        ("bait", {"oversample": float("inf")}, "oversample=inf"),
        ("cluster-margin", {"factor": float("inf")}, "factor"),
        ("alfa-mix", {"head": (np.ones((3, 9)), np.ones(3))}, "embeddings has 5 columns"),
    ],
)
def test_values_out_of_range_are_named(strategy: str, change: dict, message: str) -> None:
    given = {k: v for k, v in arrays(12).items() if k in ("embeddings", "probabilities")}
    with pytest.raises(ValueError, match=message):
        labeltrain.select(strategy, budget=2, **given | change)


def test_a_budget_of_any_size_takes_what_there_is() -> None:
    assert len(labeltrain.select("margin", probabilities=P3, budget=10**30)) == 3


def test_when_everything_is_covered_the_reason_says_so() -> None:
    found = labeltrain.select("prob-cover", embeddings=np.eye(4), budget=3, delta=1.9)
    assert "covered: a smaller delta" in found.why[1]


def test_a_head_of_one_row_is_that_of_two_classes() -> None:
    rng = np.random.default_rng(0)
    given = {"embeddings": rng.normal(size=(30, 4)), "labelled": [0, 1], "labels": [0, 1]}
    weights, bias = rng.normal(size=(1, 4)), rng.normal(size=1)
    both = np.vstack([-weights / 2, weights / 2]), np.r_[-bias / 2, bias / 2]
    picks = [
        labeltrain.select("alfa-mix", head=head, budget=3, **given).positions.tolist()
        for head in ((weights, bias), both)
    ]
    assert picks[0] == picks[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"strategy": "core-set"}, "called 'k-center'"),
        ({"probabilities": np.full(12, 0.5)}, r"np.c_\[1 - p, p\]"),
        ({"labelled": [0, 1] * 6}, "looks like a mask"),
        ({"labelled": ["a", "b"]}, "ids are only given back"),
        ({"labelled": [1], "labels": np.zeros(12, dtype=int)}, r"labels\[labelled\]"),
        ({"labelled": [1], "labels": [[0, 1, 1]]}, "kind='multilabel'"),
        ({"strategy": "uherding", "kind": "multilabel"}, "multilabel data"),
    ],
)
def test_what_newcomers_try_is_answered_with_the_remedy(change: dict, message: str) -> None:
    given = {"strategy": "margin", "budget": 2} | {
        k: v for k, v in arrays(12).items() if k in ("embeddings", "probabilities")
    }
    with pytest.raises(ValueError, match=message):
        labeltrain.select(**given | change)
