"""Other libraries at the same work, called as their documentation says."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import numpy as np
from benchmarks.kernels.plain import Work, gaussian_similarities, sparse_similarities

PACKAGES = {
    "scikit-activeml": "skactiveml",
    "apricot": "apricot",
    "submodlib": "submodlib",
    "small-text": "small_text",
}


def apricot(strategy: str, arrays: dict[str, np.ndarray], settings: dict[str, Any]) -> Work:
    """Facility location by its lazy optimizer; it works on float64."""
    from apricot import FacilityLocationSelection
    from apricot.functions import facilityLocation

    # It compiles its loops in every call; once is enough, and compile time is reported apart.
    for name in ("calculate_gains", "calculate_gains_sparse", "calculate_gains_sieve"):
        compiled = functools.cache(getattr(facilityLocation, name))
        setattr(facilityLocation, name, compiled)

    def work() -> np.ndarray:
        similarities = _similarities(arrays["points"], settings)
        selector = FacilityLocationSelection(settings["k"], metric="precomputed", optimizer="lazy")
        return np.asarray(selector.fit(similarities).ranking)

    return work


def submodlib(strategy: str, arrays: dict[str, np.ndarray], settings: dict[str, Any]) -> Work:
    """Facility location by its lazy greedy."""
    from submodlib import FacilityLocationFunction

    n = len(arrays["points"])
    neighbours = settings.get("parameters", {}).get("neighbours")
    how: dict[str, Any] = {"mode": "dense", "separate_rep": False}
    if neighbours is not None:
        how = {"mode": "sparse", "num_neighbors": neighbours}

    def work() -> np.ndarray:
        similarities = _similarities(arrays["points"], settings)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            function = FacilityLocationFunction(n=n, sijs=similarities, **how)
        found = function.maximize(
            budget=settings["k"], optimizer="LazyGreedy", verbose=False, show_progress=False
        )
        return np.array([position for position, _ in found])

    return work


def _similarities(points: np.ndarray, settings: dict[str, Any]) -> Any:
    """Return all similarities, or a sparse matrix where the row is about a graph."""
    neighbours = settings.get("parameters", {}).get("neighbours")
    if neighbours is None:
        return gaussian_similarities(points)
    return sparse_similarities(points, neighbours)


def small_text(strategy: str, arrays: dict[str, np.ndarray], settings: dict[str, Any]) -> Work:
    """k-center by the function that its class calls; unlabelled rows come first, as it needs."""
    from small_text.query_strategies.coresets import greedy_coreset

    points, m = arrays["points"], settings["labelled"]
    n = len(points)
    turned = np.concatenate([points[m:], points[:m]])

    def work() -> np.ndarray:
        found = greedy_coreset(
            turned,
            np.arange(n - m),
            np.arange(n - m, n),
            settings["k"],
            distance_metric="euclidean",
        )
        return np.asarray(found) + m

    return work


def scikit_activeml(strategy: str, arrays: dict[str, np.ndarray], settings: dict[str, Any]) -> Work:
    """Its pool strategies; a classifier that answers with the given probabilities for BADGE."""
    from skactiveml import pool

    points, k, seed, m = arrays["points"], settings["k"], settings["seed"], settings["labelled"]
    labels = np.full(len(points), np.nan)
    labels[:m] = np.arange(m) % 10
    if strategy == "badge":
        badge = pool.Badge(random_state=seed)
        classifier = _fixed_classifier(arrays["probabilities"][m:])
        return lambda: np.asarray(
            badge.query(points, labels, classifier, fit_clf=False, batch_size=k)
        )
    made = {
        "k-center": lambda: pool.CoreSet(random_state=seed),
        "max-herding": lambda: pool.MaxHerding(
            random_state=seed, metric="rbf", metric_dict={"gamma": 1.0}, normalize_samples=True
        ),
        "prob-cover": lambda: pool.ProbCover(random_state=seed, n_classes=10),
        "typiclust": lambda: pool.TypiClust(random_state=seed, k=20),
    }[strategy]()
    return lambda: np.asarray(made.query(points, labels, batch_size=k))


def _fixed_classifier(probabilities: np.ndarray) -> Any:
    from skactiveml.base import SkactivemlClassifier

    class Fixed(SkactivemlClassifier):
        """Answers with probabilities that are there already."""

        def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
            return self

        def predict_proba(self, X: Any) -> np.ndarray:
            assert len(X) == len(probabilities)
            return probabilities

    return Fixed()


SIDES = {
    "apricot": apricot,
    "submodlib": submodlib,
    "small-text": small_text,
    "scikit-activeml": scikit_activeml,
}
