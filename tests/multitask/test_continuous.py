"""Tasks of one's choice: recovery without noise, and what aiming at a target saves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from labeltrain.errors import BadInput, BrokenContract
from labeltrain.multitask.continuous import _map_for, explore
from labeltrain.multitask.samples import Samples

D, K, R = 12, 3, 10


class Space:
    """``y = x' B A w + noise``; the target is no task of the space, but its head is in reach."""

    def __init__(self, seed: int, noise: float) -> None:
        self.rng, self.noise = np.random.default_rng(seed), noise
        self.basis = np.linalg.qr(self.rng.normal(size=(D, K)))[0]
        left, right = (np.linalg.qr(self.rng.normal(size=(n, K)))[0] for n in (K, R))
        self.map = left @ np.diag([1.0, 0.8, 0.6]) @ right.T
        self.head = left @ np.array([1.0, 0.1, 0.1])
        self.width = R
        self.asked: list[np.ndarray] = []

    def draw(self, task: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        self.asked.append(task)
        return self.of(self.map @ task, count)

    def of(self, head: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        x = self.rng.normal(size=(count, D))
        return x, x @ (self.basis @ head) + self.noise * self.rng.normal(size=count)

    def missed(self, basis: np.ndarray) -> float:
        own = self.basis @ self.head
        return float(((own - basis @ (basis.T @ own)) ** 2).sum())


def test_without_noise_the_space_is_found() -> None:
    space = Space(0, 0.0)
    found = explore(space, space.of(space.head, 20), 800, dimension=K, epochs=3)
    basis = found.representation.basis
    np.testing.assert_allclose(basis @ found.map, space.basis @ space.map, atol=1e-6)
    np.testing.assert_allclose(basis @ found.head, space.basis @ space.head, atol=1e-6)
    np.testing.assert_allclose(found.aim, np.linalg.pinv(space.map) @ space.head, atol=1e-6)
    assert found.counts.sum() == 800
    assert found.counts.tolist() == [27] * 7 + [26] * 3 + [45, 45, 44, 133] + [45, 44, 44, 133]
    np.testing.assert_array_equal(found.tasks, np.column_stack(space.asked))
    np.testing.assert_allclose(np.linalg.norm(found.tasks, axis=0), 1.0)
    along = found.tasks[:, 13]
    np.testing.assert_allclose(along, found.aim / np.linalg.norm(found.aim), atol=1e-6)
    fine = found.tasks[:, 10:13]
    rowspace = np.linalg.svd(space.map)[2][:K].T
    np.testing.assert_allclose(fine @ fine.T, rowspace @ rowspace.T, atol=1e-6)


def test_aiming_at_the_target_saves_samples() -> None:
    missed: dict[str, list[float]] = {"rough": [], "fine": [], "aimed": []}
    for seed in range(12):
        for name, options in (
            ("rough", {"epochs": 1}), ("fine", {"aimed": False}), ("aimed", {}),
        ):  # fmt: skip
            space = Space(seed, 0.5)
            target = space.of(space.head, 200)
            found = explore(space, target, 1200, dimension=K, **options)  # type: ignore[arg-type]
            missed[name].append(space.missed(found.representation.basis))
    mean = {name: float(np.mean(values)) for name, values in missed.items()}
    assert mean["aimed"] < mean["fine"] < mean["rough"]
    assert mean["aimed"] < 0.6 * mean["rough"]


def test_the_map_solves_its_slow_twin() -> None:
    rng = np.random.default_rng(0)
    tasks, basis = rng.normal(size=(4, 6)), np.linalg.qr(rng.normal(size=(5, 2)))[0]
    parts = [(rng.normal(size=(n, 5)), rng.normal(size=n)) for n in (3, 5, 2, 9, 4, 6)]
    features = np.vstack(
        [np.kron(tasks[:, j], x @ basis) for j, (rows, _) in enumerate(parts) for x in rows]
    )
    slow = np.linalg.lstsq(features, np.concatenate([p[1] for p in parts]), rcond=None)[0]
    found = _map_for(basis, Samples.of(parts), tasks)
    np.testing.assert_allclose(found, slow.reshape(4, 2).T, atol=1e-6)


class Short(Space):
    """Gives one sample too few."""

    def draw(self, task: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        rows, values = super().draw(task, count)
        return rows[1:], values[1:]


def test_a_space_that_gives_too_little() -> None:
    with pytest.raises(BrokenContract, match="29 samples of 30"):
        explore(Short(0, 0.1), Space(0, 0.1).of(np.ones(K), 9), 300, dimension=K, epochs=1)


def asked(**options: Any) -> Callable[[], Any]:
    given: dict[str, Any] = {"budget": 400, "dimension": K, "count": 9, **options}
    space = Space(0, 0.1)
    target = space.of(space.head, given.pop("count"))
    return lambda: explore(space, target, given.pop("budget"), **given)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (asked(dimension=11), "dimension=11"),
        (asked(epochs=0), "epochs=0"),
        (asked(fine=1.5), "fine=1.5"),
        (asked(budget=39), "budget of 39"),
        (asked(count=1), "target of 1"),
    ],
)
def test_bad_input(call: Callable[[], Any], match: str) -> None:
    with pytest.raises(BadInput, match=match):
        call()
