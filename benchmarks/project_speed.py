"""How long it takes from the last label to the next questions, in a labelling project.

    python benchmarks/project_speed.py [--learners linear,retrain,cal-er,ridge] [--out FILE]

A project on features of MiniLM of 20 Newsgroups (11,293 items of the pool), margin, 20 questions at
a time: answers are told, and the next 20 are asked for. Prints seconds of both together, in one
process; `--command` measures the two commands as a person types them, with the start of Python.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from labeltrain import Dataset, Project, data, encoders

LEARNERS = "linear,ridge,laplace,mlp,retrain,warm-start,cal-er,cal-der"
COMMAND = "from labeltrain.cli import main; main()"


def material() -> tuple[Dataset, list[str]]:
    """Return the features of the pool as items without labels, and what would be answered."""
    dataset = data.load("20newsgroups")
    features = encoders.features(dataset, encoders.make("minilm")).array
    pool, _ = data.split(dataset)
    ids = tuple(dataset.ids[k] for k in pool.tolist())
    names = [dataset.classes[label] for label in np.asarray(dataset.labels)[pool].tolist()]
    return Dataset("20newsgroups", "features", features[pool], ids), names


def waits(
    items: Dataset, truth: list[str], learner: str, labels: int, batch: int, command: bool
) -> list[tuple[int, float]]:
    """Return labels so far, and seconds until the next questions were there."""
    answer = dict(zip(items.ids, truth, strict=True))
    found = []
    with tempfile.TemporaryDirectory(dir=".") as folder:
        path = Path(folder) / "p"
        classes = sorted(set(truth))
        with Project.new(path, items, classes=classes, learner=learner, strategy="margin") as made:
            asked = [row["id"] for row in made.next(batch)]
            if not command:
                while len(found) * batch < labels:
                    told = {i: answer[i] for i in asked}
                    asked, seconds = timed(lambda told=told: in_process(made, told, batch))
                    found.append(((len(found) + 1) * batch, seconds))
                return found
        while len(found) * batch < labels:
            rows = "".join(f"{i},{answer[i]}\n" for i in asked)
            (Path(folder) / "told.csv").write_text("id,label\n" + rows)
            asked, seconds = timed(lambda: by_command(path, batch))
            found.append(((len(found) + 1) * batch, seconds))
    return found


def timed(do: Callable[[], list[str]]) -> tuple[list[str], float]:
    """Return what was asked, and how long it took."""
    started = time.perf_counter()
    asked = do()
    return asked, time.perf_counter() - started


def in_process(project: Project, told: dict[str, str], batch: int) -> list[str]:
    """Tell and ask."""
    project.tell(told)
    return [row["id"] for row in project.next(batch)]


def by_command(path: Path, batch: int) -> list[str]:
    """Tell and ask, as commands."""
    told, todo = path.parent / "told.csv", path.parent / "todo.jsonl"
    base = [sys.executable, "-c", COMMAND, "project"]
    for line in (
        ["tell", str(path), str(told)],
        ["next", str(path), "--count", str(batch), "--out", str(todo), "--force"],
    ):
        subprocess.run([*base, *line], check=True, capture_output=True)
    return [json.loads(row)["id"] for row in todo.read_text().splitlines()]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--learners", default=LEARNERS)
    parser.add_argument("--labels", type=int, default=600)
    parser.add_argument("--batch", type=int, default=20)
    parser.add_argument("--command", action="store_true")
    parser.add_argument("--out", type=Path, help="a line of JSON for each learner")
    options = parser.parse_args()
    items, truth = material()
    print(f"{len(items.ids)} items, {options.batch} questions at a time, until {options.labels}")
    print("| learner | median, s | the last five, s |\n|---|---|---|")
    rows = []
    for learner in options.learners.split(","):
        found = waits(items, truth, learner, options.labels, options.batch, options.command)
        seconds = [s for _, s in found]
        median, last = statistics.median(seconds), statistics.mean(seconds[-5:])
        print(f"| {learner} | {median:.2f} | {last:.2f} |", flush=True)
        rows.append({"learner": learner, "command": options.command, "waits": found})
    if options.out:
        options.out.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main()
