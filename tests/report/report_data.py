"""Synthetic results that look like real ones."""

from __future__ import annotations

import numpy as np

from labeltrain.metrics.curves import Curve, Experiment, Results

STRATEGIES = {"random": 1.0, "margin": 0.62, "badge": 0.66, "typiclust": 0.85}


def make_experiment(name="reuters-r8", classes=8, rare=True, **options):
    counts = np.maximum(3 if rare else 40, (400 / (1 + np.arange(classes)) ** 1.3)).astype(int)
    return Experiment(
        name=name,
        dataset=name,
        encoder="bge-small-en-v1.5",
        learner="logistic",
        classes=tuple(f"class-{k:02d}" for k in range(classes)),
        test_counts=counts,
        pool_size=5485,
        test_size=int(counts.sum()),
        **{"redrawn": True, "seconds_encode": 41.5, "facts": {"licence": "research"}} | options,
    )


def make_curve(experiment, strategy, seed, rounds=13, step=20, tau=90.0, complete=True):
    salt = sum(map(ord, experiment.name + strategy))
    split = np.random.default_rng([seed, len(experiment.name)])
    rng = np.random.default_rng([seed, salt])
    labels = step * np.arange(1, rounds + 1)
    speed = tau * STRATEGIES.get(strategy, 0.9)
    shift = split.normal(0, 0.008)

    def rising(top, rise, noise):
        drift = rng.normal(0, noise, rounds).cumsum() / np.sqrt(np.arange(1, rounds + 1))
        return np.clip(top - rise * np.exp(-(labels - step) / speed) + shift + drift, 0, 1)

    accuracy, balanced = rising(0.93, 0.3, 0.008), rising(0.86, 0.45, 0.015)
    ease = np.linspace(1.0, 0.8, len(experiment.classes))
    recall = np.clip(balanced[:, None] * ease + rng.normal(0, 0.05, (rounds, len(ease))), 0, 1)
    slow = {"badge": 4.0, "typiclust": 2.0, "margin": 0.3}.get(strategy, 0.05)
    return Curve(
        experiment=experiment.name,
        strategy=strategy,
        seed=seed,
        labels=labels,
        scores={
            "accuracy": accuracy,
            "balanced_accuracy": balanced,
            "balanced_accuracy_min5": np.clip(balanced + 0.03, 0, 1),
            "macro_f1": np.clip(balanced - 0.02, 0, 1),
            "nll": 0.2 + 1.2 * (1 - accuracy),
            "ece": 0.02 + 0.1 * (1 - accuracy),
            "pool_accuracy": np.clip(accuracy + 0.01, 0, 1),
        },
        recall=recall,
        seconds={
            "train": rng.uniform(0.05, 0.15, rounds),
            "select": slow * rng.uniform(0.8, 1.2, rounds),
            "evaluate": rng.uniform(0.01, 0.03, rounds),
            "store": rng.uniform(0.001, 0.004, rounds),
        },
        complete=complete,
    )


def make_results(experiments=None, strategies=tuple(STRATEGIES), seeds=10, rounds=13, **options):
    experiments = experiments or (make_experiment(),)
    return Results(
        **{
            "title": "Does margin sampling save labels?",
            "spec": "title: Does margin sampling save labels?\nseeds: 10\nbudget: 260\n",
            "versions": {"labeltrain": "0.1.0", "python": "3.11.2", "machine": "2 cores"},
            "experiments": tuple(experiments),
            "curves": tuple(
                make_curve(e, s, k, rounds)
                for e in experiments
                for s in strategies
                for k in range(seeds)
            ),
            "seconds_total": 1234.5,
        }
        | options
    )
