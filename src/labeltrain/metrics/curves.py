"""The learning curve of one trajectory: what a study measures and a report draws."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from labeltrain.metrics.costs import CostLedger


@dataclass(frozen=True)
class Curve:
    """One strategy, one seed, one experiment: scores after every round.

    Attributes
    ----------
    experiment : str
        Which data set and encoder, such as ``"reuters-r8"``.
    strategy : str
    seed : int
    labels : ndarray of int64, shape (R,)
        Labels spent when each score was taken, strictly increasing.
    scores : dict of str to ndarray of float64, shape (R,)
        ``accuracy``, ``balanced_accuracy``, ``macro_f1``, ``nll``, ``ece``, ``pool_accuracy`` ...
    recall : ndarray of float64, shape (R, C)
        Recall per class on the test items; NaN for a class without test items.
    seconds : dict of str to ndarray of float64, shape (R,)
        ``train``, ``select``, ``evaluate``, ``store`` of each round.
    found : ndarray of float64, shape (R, C), or None
        Labelled items of each class, as they were answered; None where it was not recorded.
    groups : ndarray of int64, shape (R,), or None
        How often answers had to be waited for: those of one group can be given at the same time.
    examples : ndarray of int64, shape (R,), or None
        That the training of each round processed, forward and back.
    complete : bool
        False when the trajectory stopped before its last round (a partial result).
    """

    experiment: str
    strategy: str
    seed: int
    labels: np.ndarray
    scores: dict[str, np.ndarray]
    recall: np.ndarray
    seconds: dict[str, np.ndarray] = field(default_factory=dict)
    complete: bool = True
    found: np.ndarray | None = None
    groups: np.ndarray | None = None
    examples: np.ndarray | None = None


@dataclass(frozen=True)
class Experiment:
    """What is common to the trajectories of one data set and encoder.

    Attributes
    ----------
    name : str
    dataset, encoder, learner : str
    classes : tuple of str
    test_counts : ndarray of int64, shape (C,)
        Test items per class (of the fixed split, or the mean over redrawn splits, rounded).
    pool_size, test_size : int
    redrawn : bool
        True when each seed draws its own pool/test split.
    shared_test : bool
        True when each seed draws its own pool, and the test items are the same for all.
    metric : str
        The main score, on which label saving is computed.
    seconds_encode : float
        Seconds spent encoding; 0 when everything came from the cache.
    facts : dict
        Further facts to show (licence, feature dimension ...).
    """

    name: str
    dataset: str
    encoder: str
    learner: str
    classes: tuple[str, ...]
    test_counts: np.ndarray
    pool_size: int
    test_size: int
    redrawn: bool = False
    shared_test: bool = False
    metric: str = "accuracy"
    seconds_encode: float = 0.0
    facts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Results:
    """All that a report shows.

    Attributes
    ----------
    title : str
    spec : str
        The exact spec, as YAML.
    versions : dict of str to str
        Packages, Python, machine.
    experiments : tuple of Experiment
    curves : tuple of Curve
    baseline : str
        The strategy the others are compared with.
    seconds_total : float
        Wall time, whatever `clock` is: of a study from the start to the end of each run that was
        not cut off, with preparation and waiting; of a study of prompts the steps one by one.
    complete : bool
    costs : tuple of CostLedger
        Of experiments with an expensive learner at the end.
    clock : {"wall", "processor"}
        What seconds of the rounds were measured by.
    """

    title: str
    spec: str
    versions: dict[str, str]
    experiments: tuple[Experiment, ...]
    curves: tuple[Curve, ...]
    baseline: str = "random"
    seconds_total: float = 0.0
    complete: bool = True
    costs: tuple[CostLedger, ...] = ()
    clock: str = "wall"
