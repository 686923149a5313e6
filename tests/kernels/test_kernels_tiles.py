"""Exact neighbours by tiles: each pair once, in rounds, whatever the threads and the memory."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeltrain.kernels import neighbour_tiles
from labeltrain.kernels.neighbours import approximate_neighbours, nearest_neighbours
from labeltrain.kernels.threads import limited_threads


def twin(points: np.ndarray, normalise: bool) -> np.ndarray:
    """Return all distances in float64, infinite from an item to itself."""
    x = np.asarray(points, dtype=np.float64)
    if normalise:
        lengths = np.sqrt((x**2).sum(axis=1, keepdims=True))
        x = np.divide(x, lengths, out=np.zeros_like(x), where=lengths > 0)
    gaps = np.sqrt(((x[:, None] - x[None]) ** 2).sum(axis=2))
    np.fill_diagonal(gaps, np.inf)
    return gaps


def check(points: np.ndarray, k: int, normalise: bool, among: np.ndarray | None = None) -> None:
    """Compare with the twin; where that cannot tell ties, neither order is wrong."""
    found, gaps = nearest_neighbours(points, k, normalise=normalise, among=among)
    slow = twin(points, normalise)
    pool = np.arange(len(points)) if among is None else among
    order = pool[np.argsort(slow[:, pool], axis=1, kind="stable")]
    order = order[:, : max(0, min(k, len(pool) - 1))]
    assert found.shape == order.shape
    rows = np.arange(len(points))[:, None]
    np.testing.assert_allclose(gaps, slow[rows, order], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(gaps, slow[rows, found], rtol=1e-9, atol=1e-12)
    assert all(len(set(row)) == len(row) for row in found.tolist())
    if not normalise:  # whole numbers: no rounding at all
        assert found.tolist() == order.tolist()
    twins = (points[found[:, 1:]] == points[found[:, :-1]]).all(axis=2)
    assert (found[:, 1:] > found[:, :-1])[twins].all()


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbour_tiles, "BLOCK", 16)


@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 120),
    d=st.integers(1, 6),
    k=st.integers(0, 130),
    high=st.integers(1, 30),
    normalise=st.booleans(),
    kind=st.sampled_from([np.float16, np.float32, np.float64]),
    ordered=st.booleans(),
)
@settings(deadline=None, max_examples=150)
def test_ties_duplicates_and_zero_rows(
    seed: int, n: int, d: int, k: int, high: int, normalise: bool, kind: type, ordered: bool
) -> None:
    rng = np.random.default_rng(seed)
    points = rng.integers(-high, high, size=(n, d)).astype(kind)
    points[rng.random(n) < 0.1] = 0
    points[rng.random(n) < 0.2] = points[0]
    points = points if ordered else np.asfortranarray(points)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbour_tiles, "BLOCK", 16)
        check(points, k, normalise)
        size = int(rng.integers(1, n + 1))
        check(points, k, normalise, np.sort(rng.permutation(n)[:size]))


@pytest.mark.parametrize("count", range(1, 12))
def test_rounds_hold_every_pair_once_and_no_block_twice(count: int) -> None:
    seen = []
    for pairs in neighbour_tiles.rounds(count):
        blocks = [block for pair in pairs for block in pair]
        assert len(set(blocks)) == len(blocks)
        seen += pairs
    assert sorted(seen) == list(itertools.combinations(range(count), 2))


@pytest.mark.parametrize("kind", ["normal", "copies", "lattice"])
def test_neither_threads_nor_memory_change_a_bit(kind: str, small_tiles: None) -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(700, 40)).astype(np.float32)
    if kind == "copies":  # more than there is room for, of some items
        points[::2] = points[rng.integers(3, size=350)]
    if kind == "lattice":
        points = rng.integers(0, 3, size=(700, 4)).astype(np.float32)
    runs = []
    for threads, memory in ((1, 2**30), (2, 2**30), (5, 2**30), (2, 1), (3, 10**5)):
        with limited_threads(threads):
            runs.append(nearest_neighbours(points, 20, normalise=True, memory=memory))
    for found, gaps in runs[1:]:
        assert found.tobytes() == runs[0][0].tobytes()
        assert gaps.tobytes() == runs[0][1].tobytes()


def test_tiles_of_their_real_size_find_what_brute_force_finds() -> None:
    rng = np.random.default_rng(1)
    points = rng.normal(size=(2500, 24)) + 30.0  # far from the origin
    found, gaps = nearest_neighbours(points, 64)
    unit = points - points.mean(axis=0)
    squares = (unit**2).sum(axis=1)
    slow = squares[:, None] + squares - 2.0 * unit @ unit.T
    np.fill_diagonal(slow, np.inf)
    order = np.argsort(slow, axis=1)[:, :64]
    assert found.tolist() == order.tolist()
    np.testing.assert_allclose(gaps**2, np.take_along_axis(slow, order, axis=1), atol=1e-9)


def test_more_near_ties_than_room_are_settled_by_the_slow_way(small_tiles: None) -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(300, 5))
    points[50:200] = points[7]  # 151 equal ones, where 12 + 32 are kept
    points[200:] += 50.0
    found, _ = nearest_neighbours(points, 12)
    assert found[7].tolist() == list(range(50, 62))
    assert found[60].tolist() == [7, *range(50, 60), 61]
    assert found[199].tolist() == [7, *range(50, 61)]


def test_neighbours_among_some_items_only() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(400, 8))
    among = np.sort(rng.permutation(400)[:60])
    exact, gaps = nearest_neighbours(points, 10, among=among)
    found, near = approximate_neighbours(points, 10, seed=0, among=among, probes=10**6)
    assert found.tolist() == exact.tolist()
    assert near.tolist() == gaps.tolist()
    few, _ = approximate_neighbours(points, 10, seed=0, among=among, probes=2)
    assert np.isin(few, among).all()
    assert (few != np.arange(400)[:, None]).all()
    assert nearest_neighbours(points, 10, among=among[:1])[0].shape == (400, 0)
    assert approximate_neighbours(points, 10, seed=0, among=among[:1])[0].shape == (400, 0)
