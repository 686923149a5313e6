"""Are the picks what they should be? Everything is measured anew, in float64, by one routine."""

from __future__ import annotations

from typing import Any

import numpy as np
from benchmarks.kernels.rows import OURS, Row

BLOCK = 2048

Picks = dict[str, list[np.ndarray]]  # of each side: the first run, then further seeds


def check(row: Row, arrays: dict[str, np.ndarray], picks: Picks) -> dict[str, Any]:
    """Return what a row's check finds: for each side, and in all under the check's name."""
    if row.check == "greedy":
        return _greedy(row, arrays["points"], picks)
    if row.check == "value":
        return _value(row, arrays["points"], picks)
    if row.check == "law":
        return _law(row, arrays, picks)
    return {}


def _greedy(row: Row, points: np.ndarray, picks: Picks) -> dict[str, Any]:
    """How far each pick falls short of the farthest item at its time, relatively, at most."""
    labelled = np.arange(row.labelled)
    found = {side: shortfall(points, labelled, some[0]) for side, some in picks.items()}
    ours = picks[OURS][0]
    same = {side: int((some[0] == ours).sum()) for side, some in picks.items() if side != OURS}
    return {"greedy": found[OURS], "shortfall": found, "same_picks": same, "of": len(ours)}


def shortfall(points: np.ndarray, labelled: np.ndarray, picks: np.ndarray) -> float:
    """Return the largest relative shortfall of a pick's distance."""
    m, n = len(labelled), len(points)
    centres = points[np.concatenate([labelled, picks])].astype(np.float64)
    mean = centres.mean(axis=0)
    centres -= mean
    squares = np.einsum("ij,ij->i", centres, centres)
    highest = np.zeros(len(picks))
    own = np.empty(len(picks))
    where = {int(position): turn for turn, position in enumerate(picks)}
    for start in range(0, n, BLOCK):
        block = points[start : start + BLOCK] - mean
        distances = block @ centres.T
        distances *= -2.0
        distances += squares
        distances += np.einsum("ij,ij->i", block, block)[:, None]
        np.minimum.accumulate(distances, axis=1, out=distances)
        before = distances[:, m - 1 : m - 1 + len(picks)]  # each pick's rivals, at its time
        np.maximum(highest, before.max(axis=0), out=highest)
        for position in range(start, min(start + BLOCK, n)):
            if position in where:
                own[where[position]] = before[position - start, where[position]]
    ratio = np.sqrt(np.maximum(own, 0.0) / np.maximum(highest, 1e-300))
    return float((1.0 - ratio).max())


def _value(row: Row, points: np.ndarray, picks: Picks) -> dict[str, Any]:
    """By how much the objective of our picks is below the best of the others, relatively."""
    unit = points.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    scale = 1.0
    if row.strategy == "facility-location":
        mean = unit.mean(axis=0)
        scale = 2.0 * (1.0 - float(mean @ mean))
    values = {side: coverage(unit, some[0], scale) for side, some in picks.items()}
    found: dict[str, Any] = {"values": values}
    others = [value for side, value in values.items() if side != OURS]
    if others:
        found["value"] = 1.0 - values[OURS] / max(others)
    return found


def coverage(unit: np.ndarray, picks: np.ndarray, scale: float) -> float:
    """Return the mean similarity of all items to the most similar pick."""
    total = 0.0
    for start in range(0, len(unit), BLOCK):
        nearest = (unit[start : start + BLOCK] @ unit[picks].T).max(axis=1)
        total += float(np.exp(-2.0 * np.maximum(1.0 - nearest, 0.0) / scale).sum())
    return total / len(unit)


def _law(row: Row, arrays: dict[str, np.ndarray], picks: Picks) -> dict[str, Any]:
    """Compare what is left of D² after the last draw, over the seeds of two sides."""
    factors = arrays["probabilities"].astype(np.float64)
    factors[np.arange(len(factors)), factors.argmax(axis=1)] -= 1.0
    points = arrays["points"]
    left = {
        side: [potential(points, factors, row.labelled, some) for some in runs]
        for side, runs in picks.items()
    }
    found: dict[str, Any] = {"potentials": {side: float(np.mean(v)) for side, v in left.items()}}
    found["seeds"] = {side: len(v) for side, v in left.items()}
    if "plain" in left and len(left["plain"]) > 2:
        ours, plain = np.array(left[OURS]), np.array(left["plain"])
        error = np.sqrt(ours.var(ddof=1) / len(ours) + plain.var(ddof=1) / len(plain))
        found["law"] = float(abs(ours.mean() - plain.mean()) / error)
    return found


def potential(points: np.ndarray, factors: np.ndarray, labelled: int, picks: np.ndarray) -> float:
    """Return the sum of D² over the unlabelled items, in float64."""
    near, near_factors = points[picks].astype(np.float64), factors[picks]
    squares = np.einsum("ij,ij->i", near, near)
    squares *= np.einsum("ij,ij->i", near_factors, near_factors)
    total = 0.0
    for start in range(labelled, len(points), BLOCK):
        block = points[start : start + BLOCK].astype(np.float64)
        own = factors[start : start + BLOCK]
        norms = np.einsum("ij,ij->i", block, block) * np.einsum("ij,ij->i", own, own)
        inner = (block @ near.T) * (own @ near_factors.T)
        d2 = (squares - 2.0 * inner).min(axis=1) + norms
        total += float(np.maximum(d2, 0.0).sum())
    return total
