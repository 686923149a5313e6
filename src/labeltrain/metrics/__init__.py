"""Scores, learning curves, label saving and paired tests."""

from __future__ import annotations

from labeltrain.metrics.agreement import krippendorff_alpha, pairwise_agreement
from labeltrain.metrics.calibration import apply_temperature, fit_temperature
from labeltrain.metrics.compare import Comparison, compare, compare_all
from labeltrain.metrics.contrast import Contrast, contrast
from labeltrain.metrics.costs import BOOKED, CostLedger
from labeltrain.metrics.curves import Curve, Experiment, Results
from labeltrain.metrics.monotone import area_under_curve, isotonic, labels_needed
from labeltrain.metrics.proportion import binomial_interval
from labeltrain.metrics.ranks import mean_ranks
from labeltrain.metrics.saving import SHARES, Saving, label_saving
from labeltrain.metrics.scores import METRICS, Metric, score
from labeltrain.metrics.significance import holm, paired_t, sign_flip, t_interval
from labeltrain.metrics.single import (
    accuracy,
    balanced_accuracy,
    balanced_accuracy_min5,
    ece,
    exact_match,
    macro_f1,
    mean_average_precision,
    micro_f1,
    nll,
    recall_per_class,
)
from labeltrain.metrics.wins import WinMatrix, win_matrix

__all__ = [
    "BOOKED",
    "METRICS",
    "SHARES",
    "Comparison",
    "Contrast",
    "CostLedger",
    "Curve",
    "Experiment",
    "Metric",
    "Results",
    "Saving",
    "WinMatrix",
    "accuracy",
    "apply_temperature",
    "area_under_curve",
    "balanced_accuracy",
    "balanced_accuracy_min5",
    "binomial_interval",
    "compare",
    "compare_all",
    "contrast",
    "ece",
    "exact_match",
    "fit_temperature",
    "holm",
    "isotonic",
    "krippendorff_alpha",
    "label_saving",
    "labels_needed",
    "macro_f1",
    "mean_average_precision",
    "mean_ranks",
    "micro_f1",
    "nll",
    "paired_t",
    "pairwise_agreement",
    "recall_per_class",
    "score",
    "sign_flip",
    "t_interval",
    "win_matrix",
]
