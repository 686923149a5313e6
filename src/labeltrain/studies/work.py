"""How much of a study is done, in seconds of work: what the time to go comes from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from labeltrain.learners import registry as learners
from labeltrain.learners.networks.learner import NetworkLearner
from labeltrain.store import Event
from labeltrain.studies.executors import Task
from labeltrain.studies.prepare import run_name
from labeltrain.studies.spec import ExperimentSpec, StudySpec

STEP = 0.2  # seconds of a step of a network until a training was seen
STEPS = 300  # of a network that is given no number
FIT = 0.1  # of a fit on features with no label, which grows by as much with every 100 labels


class Work:
    """The work of some tasks: rounds and final trainings, done and left, in seconds.

    Work that is left is estimated by what the like took: in the same experiment if some of it was
    done, else with the same learner, else by a guess. Within an experiment a round of a learner
    on features counts by its labels.

    Parameters
    ----------
    spec : StudySpec
    tasks : iterable of Task
        Those to be run.
    """

    def __init__(self, spec: StudySpec, tasks: Iterable[Task]) -> None:
        self._runs: dict[str, ExperimentSpec] = {}
        self._left: dict[tuple[str, str, str], float] = defaultdict(float)
        self._units: dict[tuple[str, str, str], int] = defaultdict(int)  # floats do not end at 0
        self._taken: dict[tuple[str, ...], list[float]] = defaultdict(lambda: [0.0, 0.0])
        self.done = 0.0
        for task in tasks:
            experiment = spec.experiments[task.experiment]
            self._runs[run_name(experiment, task.strategy, task.seed)] = experiment
            for number in range(experiment.rounds + 1):
                labels = experiment.seed_size + number * experiment.batch
                self._add(experiment, "scored", labels)
            for budget in (experiment.final.at or [labels]) if experiment.final else ():
                self._add(experiment, "final", budget)

    def _add(self, experiment: ExperimentSpec, kind: str, labels: float) -> None:
        key = _key(experiment, kind)
        self._left[key] += _guess(experiment, kind, labels)
        self._units[key] += 1

    def saw(self, event: Event) -> None:
        """Take note of what a round or a training took."""
        experiment = self._runs.get(event.run)
        if experiment is None or event.kind not in ("scored", "final"):
            return
        key, body = _key(experiment, event.kind), event.body
        budgets = [body["labels"]] if event.kind == "scored" else body["budgets"]
        known = [body["labels"] if isinstance(budget, str) else budget for budget in budgets]
        guess = sum(_guess(experiment, event.kind, labels) for labels in known)
        took = float(sum(body["seconds"].values()))
        self._units[key] -= len(budgets)
        self._left[key] = max(0.0, self._left[key] - guess) if self._units[key] > 0 else 0.0
        for name in (key, key[1:]):
            self._taken[name][0] += guess
            self._taken[name][1] += took
        self.done += took

    @property
    def total(self) -> float:
        """Seconds of work, done and left."""
        return self.done + sum(guess * self._rate(key) for key, guess in self._left.items())

    def _rate(self, key: tuple[str, str, str]) -> float:
        """Return seconds for each guessed second."""
        for name in (key, key[1:]):
            guessed, took = self._taken[name]
            if guessed > 0:
                return took / guessed
        return 1.0


def _key(experiment: ExperimentSpec, kind: str) -> tuple[str, str, str]:
    if kind == "final" and experiment.final is not None:
        return experiment.title, kind, experiment.final.learner
    return experiment.title, kind, experiment.learner


def _guess(experiment: ExperimentSpec, kind: str, labels: float) -> float:
    """Return seconds of a fit before one was seen."""
    learner, options = experiment.learner, experiment.learner_options
    if kind == "final" and experiment.final is not None:
        learner, options = experiment.final.learner, experiment.final.learner_options
    if issubclass(learners.get(learner), NetworkLearner):
        return STEP * float(options.get("steps", STEPS))
    return FIT * (1.0 + labels / 100.0)
