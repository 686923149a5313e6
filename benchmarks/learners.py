"""Learners side by side at a few numbers of labels: accuracy and seconds, on development seeds.

    python benchmarks/learners.py --data 20newsgroups --labels 40 200 --learners linear propagation
    python benchmarks/learners.py --learners "flexmatch steps=200 width=0"

A learner may be followed by parameters. Seeds redraw the split into pool and test items, and the
labels; labels are random, or the first picks of a strategy that needs no model (--pick).
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import labeltrain
from labeltrain import data, encoders
from labeltrain.encoders.augment import encoded_views
from labeltrain.kernels.threads import limited_threads
from labeltrain.learners import Training, make
from labeltrain.learners.base import drawn
from labeltrain.metrics import score
from labeltrain.studies.prepare import Learning

SEEDS = (1000, 1001, 1002)


def learner_of(text: str) -> Any:
    """Build a learner from ``name parameter=value ...``."""
    name, *given = text.split()
    parameters = {}
    for part in given:
        key, _, value = part.partition("=")
        try:
            parameters[key] = json.loads(value)
        except ValueError:
            parameters[key] = value
    return make(name, parameters)


def main() -> None:
    """Run, and print a line for each cell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs="+", default=["20newsgroups", "reuters-r8", "mnist-5k"])
    parser.add_argument("--labels", nargs="+", type=int, default=[40, 200, 600])
    parser.add_argument("--learners", nargs="+", default=["linear", "propagation", "flexmatch"])
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--pick", default="random")
    parser.add_argument("--encoder", help="of all data; by their kind if not given")
    parser.add_argument("--metric", default="accuracy")
    parser.add_argument("--views", type=int, default=0, help="encoded views of each strength")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="a line of JSON for each cell is added here")
    options = parser.parse_args()
    for name in options.data:
        dataset = data.load(name)
        known = np.flatnonzero(dataset.labels >= 0)
        encoder = encoders.make(options.encoder or encoders.default_for(dataset.modality))
        if encoder.learns and options.views:
            parser.error(f"{encoder.name} learns from each split's pool: leave out --views")
        views = {
            strength: encoded_views(
                dataset, encoder, strength, options.views, 0, positions=known
            ).array
            for strength in ("weak", "strong") if options.views
        }  # fmt: skip
        empty = replace(
            dataset, items=np.empty((len(known), 0)), modality="features",
            labels=dataset.labels[known], ids=tuple(dataset.ids[i] for i in known), test=None,
        )  # fmt: skip
        shells, one_for_all = {}, None
        for seed in options.seeds:
            if one_for_all is None or encoder.learns:
                made = features_of(dataset, known, encoder, split(empty, seed)[0])
                one_for_all = replace(empty, items=made)
            shells[seed] = one_for_all
        items = data.take(dataset.items, known)
        for text in options.learners:
            row = [f"{name:14s} {text:60s}"]
            seconds = 0.0
            for count in options.labels:
                found = []
                for seed in options.seeds:
                    value, took = one(
                        shells[seed], views, items, dataset.modality, text, count, seed, options
                    )
                    found.append(value)
                    seconds += took
                row.append(f"{100 * np.mean(found):5.1f}")
                if options.out:
                    with options.out.open("a", encoding="utf-8") as file:
                        cell = {"data": name, "learner": text, "labels": count, "scores": found}
                        file.write(json.dumps(cell) + "\n")
            row.append(f"{seconds / len(options.labels) / len(options.seeds):6.2f} s")
            print("  ".join(row), flush=True)


def split(shell: Any, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of pool and test items."""
    return data.split(shell, mode="redraw", test_fraction=0.3, seed=seed)


def features_of(dataset: Any, known: np.ndarray, encoder: Any, pool: np.ndarray) -> np.ndarray:
    """Return features of the labelled items; an encoder that learns does so from the pool."""
    if encoder.learns:
        return Learning(encoder, dataset, known).features(pool)[0].array
    return encoders.features(dataset, encoder, positions=known).array


def one(
    shell: Any,
    views: Any,
    items: Any,
    modality: str,
    text: str,
    count: int,
    seed: int,
    options: Any,
) -> tuple[float, float]:
    """Return the score on the test items, and the seconds of the fit."""
    pool, test = split(shell, seed)
    features = np.ascontiguousarray(shell.items[pool])
    with limited_threads(options.threads):
        picks = labeltrain.select(
            options.pick, embeddings=features, budget=count, seed=seed, kind="none"
        ).positions
        training = Training(
            features, picks, shell.labels[pool][picks], len(shell.classes),
            items=data.take(items, pool), names=shell.classes, modality=modality,
            **{strength: drawn(array[:, pool]) for strength, array in views.items()},
        )  # fmt: skip
        started = time.perf_counter()
        learner = learner_of(text)
        model = learner.fit(training, np.random.default_rng(seed))
        seconds = time.perf_counter() - started
        inputs = shell.items if learner.reads == "features" else items
        found = score(
            model.predict_proba(data.take(inputs, test)), shell.labels[test], kind=shell.kind
        )
    return float(found[options.metric]), seconds


if __name__ == "__main__":
    main()
