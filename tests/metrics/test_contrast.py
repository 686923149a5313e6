"""Contrasts of labels needed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from labeltrain.errors import BadInput
from labeltrain.metrics import contrast, label_saving

X = np.array([10, 20, 40, 80])


def noisy(seeds: int, shift: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rise = np.array([0.5, 0.65, 0.8, 0.9]) + shift * np.array([0, 1, 0.8, 0.2])
    return rise + rng.normal(0, 0.02, (seeds, 1)) + rng.normal(0, 0.01, (seeds, 4))


def last_of(name: str) -> Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]:
    return lambda means: dict.fromkeys(means, means[name][:, -1])


@pytest.mark.parametrize("share", [0.5, 0.9, 1.0])
def test_a_saving_is_the_same_as_label_saving(share: float) -> None:
    random, margin = noisy(8, 0.0, 1), noisy(8, 0.1, 2)
    (saving,) = label_saving(X, margin, random, shares=[share])
    found = contrast(
        {"random": (X, random), "margin": (X, margin)},
        lambda means: dict.fromkeys(
            means, means["random"][:, 0] + share * (means["random"][:, -1] - means["random"][:, 0])
        ),
        lambda need: 1 - need["margin"] / need["random"],
    )
    assert found.value == pytest.approx(saving.value)
    assert (found.low, found.high) == pytest.approx((saving.low, saving.high))
    assert found.needs["margin"] == pytest.approx(saving.labels_method)


def test_curves_may_have_grids_of_their_own() -> None:
    other = np.array([5, 15, 35])
    found = contrast(
        {"a": (X, np.array([[0.5, 0.6, 0.7, 0.8]])), "b": (other, np.array([[0.5, 0.6, 0.7]]))},
        lambda means: {name: np.full(len(mean), 0.65) for name, mean in means.items()},
        lambda need: need["a"] / need["b"],
    )
    assert found.needs == {"a": 30.0, "b": 25.0}
    assert found.value == pytest.approx(1.2)
    assert found.low is None


def test_a_difference_of_savings_covers_the_truth() -> None:
    """Two pairs with the same true saving: the interval of the difference holds 0."""
    held = 0
    for trial in range(60):
        curves = {
            name: (X, noisy(8, shift, 10 * trial + k))
            for k, (name, shift) in enumerate([("r1", 0.0), ("m1", 0.1), ("r2", 0.0), ("m2", 0.1)])
        }
        found = contrast(
            curves,
            lambda means: {
                name: 0.1 * means[f"r{name[1]}"][:, 0] + 0.9 * means[f"r{name[1]}"][:, -1]
                for name in means
            },
            lambda need: need["m1"] / need["r1"] - need["m2"] / need["r2"],
            resamples=400,
            seed=trial,
        )
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0.0 <= found.high
    assert held >= 51  # 85 %; 95 % is meant


def test_targets_never_reached_open_the_interval() -> None:
    flat = np.full((6, 4), 0.5)
    found = contrast(
        {"random": (X, noisy(6, 0.0, 3)), "flat": (X, flat)},
        last_of("random"),
        lambda need: 1 - need["flat"] / need["random"],
    )
    assert found.censored == ("flat",)
    assert found.needs["flat"] == float("inf")
    assert found.value == pytest.approx(0.0)  # both at 80 labels: the saving is at most that
    assert found.low == float("-inf")
    assert found.high is not None
    assert found.high < 0.5
    slow = contrast(
        {"random": (X, flat), "margin": (X, noisy(6, 0.1, 3))},
        last_of("margin"),
        lambda need: 1 - need["margin"] / need["random"],
    )
    assert slow.censored == ("random",)
    assert slow.value == pytest.approx(0.0)  # at least that: how long random takes is not known
    assert slow.low is not None
    assert slow.low <= 0.0
    assert slow.high == pytest.approx(1.0)
    both = contrast(
        {"a": (X, flat), "b": (X, flat)},
        lambda means: {name: np.full(len(mean), 0.9) for name, mean in means.items()},
        lambda need: need["a"] / need["b"],
    )
    assert both.value == pytest.approx(1.0)
    assert (both.low, both.high) == (0.0, float("inf"))


def test_bad_curves_are_refused_by_name() -> None:
    good = (X, noisy(5, 0.0, 0))
    for curves, text in (
        ({}, "no curves"),
        ({"a": good, "b": (X, noisy(4, 0.0, 0))}, "a 5, b 4"),
        ({"a": (X[:3], good[1])}, "'a' have shape"),
        ({"a": (X, np.full((5, 4), np.nan))}, "'a' is not finite"),
    ):
        with pytest.raises(BadInput, match=text):
            contrast(curves, last_of("a"), lambda need: need["a"])
