"""What selection via proxy costs beside the training of the final model alone.

    python benchmarks/proxy_cost.py plateau --data 20newsgroups --steps 50 100 200 --out a.jsonl
    python benchmarks/proxy_cost.py loop --data 20newsgroups --steps 100 --out a.jsonl

`plateau` trains the final model, semi-supervised, on random labels with several numbers of steps:
the shortest within 0.3 points of the best mean (`shortest`) is what the loop is compared with.
`loop` runs ten rounds on a cheap learner and that training, with an empty feature cache and again
with a filled one, and books the seconds. On a machine that does nothing else, all processors, one
process.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

FINAL = {"method": "noisy-student"}
OF_MODALITY = {"text": {"max_length": 64}, "image": {"size": 64, "learning_rate": 3e-4}}
ENCODER = {"text": {"max_length": 64}, "image": {"size": 64}}
WITHIN = 0.003
TEST = 3000  # test items that a plateau is read from


def main() -> None:
    """Run one of the two parts, and print a line for each number."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["plateau", "loop", "shortest"])
    parser.add_argument("--data", default="20newsgroups")
    parser.add_argument("--labels", type=int, default=1000)
    parser.add_argument("--steps", type=int, nargs="+", default=[50, 100, 200, 400])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1000, 1001])
    parser.add_argument("--proxy", default="linear")
    parser.add_argument("--strategies", default="random,margin,uherding")
    parser.add_argument("--set", nargs="*", default=[], help="option=value of the final model")
    parser.add_argument("--out", type=Path, required=True, help="a line of JSON for each number")
    options = parser.parse_args()
    {"plateau": plateau, "loop": loop, "shortest": shortest}[options.part](options)


def final_options(options: Any, modality: str) -> dict[str, Any]:
    """Return the options of the final model but its steps."""
    given = dict(part.partition("=")[::2] for part in options.set)
    own = {key: _value(value) for key, value in given.items()}
    return {**OF_MODALITY[modality], **FINAL, **own}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def plateau(options: Any) -> None:
    """Train with several numbers of steps on the same labels."""
    from labeltrain import data, encoders
    from labeltrain.learners import Training, make

    dataset = data.load(options.data)
    name = encoders.default_for(dataset.modality)
    encoder = encoders.make(name, **ENCODER[dataset.modality])
    features = encoders.features(dataset, encoder).array
    for seed in options.seeds:
        pool, test = data.split(dataset, mode="redraw", test_fraction=0.3, seed=seed)
        test = test[:TEST]
        labels = np.asarray(dataset.labels)
        items, asked = data.take(dataset.items, pool), data.take(dataset.items, test)
        picks = np.random.default_rng(seed).permutation(len(pool))[: options.labels]
        training = Training(
            features[pool], picks, labels[pool][picks],
            len(dataset.classes), items=items, names=dataset.classes, modality=dataset.modality,
        )  # fmt: skip
        for steps in options.steps:
            chosen = {**final_options(options, dataset.modality), "steps": steps}
            started = time.perf_counter()
            model = make("finetune", chosen).fit(training, np.random.default_rng(seed))
            seconds = time.perf_counter() - started
            right = model.predict_proba(asked).argmax(axis=1) == labels[test]
            _write(options.out, {
                "part": "plateau", "data": options.data, "labels": len(picks), "seed": seed,
                "steps": steps, "seconds": seconds, "accuracy": float(right.mean()),
                "options": chosen,
            })  # fmt: skip


def shortest(options: Any) -> None:
    """Print the fewest steps whose mean accuracy is within 0.3 points of the best mean."""
    found: dict[int, list[float]] = {}
    for line in options.out.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["part"] == "plateau" and row["data"] == options.data:
            found.setdefault(row["steps"], []).append(row["accuracy"])
    means = {steps: float(np.mean(values)) for steps, values in sorted(found.items())}
    best = max(means.values())
    print(
        json.dumps({"means": means, "shortest": min(s for s in means if means[s] >= best - WITHIN)})
    )


def loop(options: Any) -> None:
    """Run the loop with the final training, from an empty and from a filled feature cache."""
    import labeltrain
    from labeltrain import data
    from labeltrain.assets import cache_dir

    modality = data.load(options.data).modality
    assets = cache_dir() / "assets"
    (steps,) = options.steps
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "assets").symlink_to(assets)  # the files of data and weights are there
        os.environ["LABELTRAIN_CACHE"] = scratch
        for cache in ("empty", "filled"):
            results = labeltrain.run(
                dataset=options.data,
                encoder_options=ENCODER[modality],
                learner=options.proxy,
                strategies=options.strategies if cache == "empty" else "random",
                batch=options.labels // 10,
                rounds=9,
                seeds=[1000],
                split="redraw",
                final={
                    "learner": "finetune",
                    "learner_options": {**final_options(options, modality), "steps": steps},
                },
                threads=os.cpu_count(),
            )
            for ledger in results.costs:
                score = next(
                    c.scores["accuracy"][-1]
                    for c in results.curves
                    if (c.experiment, c.strategy) == (ledger.experiment, ledger.strategy)
                )
                _write(options.out, {
                    "part": "loop", "data": options.data, "cache": cache, "steps": steps,
                    "strategy": ledger.strategy, "labels": ledger.labels, "accuracy": float(score),
                    "seconds": dict(ledger.seconds), "examples": dict(ledger.examples),
                    "ratio": ledger.ratio, "ratio_from_cache": ledger.ratio_from_cache,
                })  # fmt: skip


def _write(path: Path, row: dict[str, Any]) -> None:
    print(json.dumps(row), flush=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
