"""From a spec to what trajectories need: features, splits, learners, checked names."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np

from labeltrain import data, encoders
from labeltrain.data.dataset import Dataset, Kind
from labeltrain.encoders import Features
from labeltrain.encoders.augment import Strength, encoded_views, refuse_no_views
from labeltrain.encoders.base import Encoder, check_modality
from labeltrain.encoders.cache import identity
from labeltrain.encoders.registry import fitting
from labeltrain.errors import BadInput, unknown_name
from labeltrain.learners import registry as learners
from labeltrain.loop.checks import refuse_unmet_needs
from labeltrain.loop.evaluate import Evaluator
from labeltrain.loop.final import Final, due
from labeltrain.loop.journal import Journal
from labeltrain.loop.trajectory import Plan, Pool, Trajectory
from labeltrain.metrics import METRICS
from labeltrain.strategies import registry as strategies
from labeltrain.strategies.base import Need
from labeltrain.strategies.rare import refuse_unknown_classes
from labeltrain.studies.imbalance import told
from labeltrain.studies.spec import ExperimentSpec, StrategySpec, StudySpec
from labeltrain.studies.start import examples_of, targets_of


@dataclass(frozen=True)
class Learning:
    """An encoder that learns from the pool, and what it encodes.

    Attributes
    ----------
    encoder : Encoder
    dataset : Dataset
    rows : ndarray of int64
        Its labelled items.
    """

    encoder: Encoder
    dataset: Dataset
    rows: np.ndarray

    def features(
        self, pool: np.ndarray, progress: Callable[[int, int], None] | None = None
    ) -> tuple[Features, Encoder]:
        """Return features of all labelled items, and the encoder, which learned from the pool.

        Their key names the encoder and the items, whatever the pool. The last result is kept:
        experiments and strategies of one seed follow each other.
        """
        global _last
        key, items = identity(self.dataset, self.encoder), self.rows[pool]
        if (
            _last is not None
            and _last[0] == key
            and np.array_equal(_last[1], items)
            and np.array_equal(_last[2], self.rows)  # other labels may know other items
        ):
            return _last[3]
        started = time.perf_counter()
        fitted = self.encoder.fitted(data.take(self.dataset.items, items))
        spent = time.perf_counter() - started
        made = encoders.features(self.dataset, fitted, positions=self.rows, progress=progress)
        made = replace(
            made,
            seconds=made.seconds + spent,
            always=made.always + spent,
            key=key,
        )
        _last = (key, items, self.rows, (made, fitted))
        return made, fitted


_last: tuple[str, np.ndarray, np.ndarray, tuple[Features, Encoder]] | None = None


@dataclass(frozen=True)
class Material:
    """What all trajectories of one experiment share; small enough to hand to a worker.

    Attributes
    ----------
    spec : ExperimentSpec
    encoder : str
        The encoder's name, "auto" resolved.
    features : ndarray of float32, shape (n, d)
        Of the labelled items of the data set.
    labels, ids, classes, kind
        Of the same items.
    test : ndarray of int64 or None
        Positions of the data set's own test split.
    views : dict of str to ndarray of float32, shape (count, n, d)
        Features of augmented items.
    items : sequence of length n, or None
        The items themselves, where a learner reads them.
    learning : Learning or None
        An encoder that learns from the pool, where every seed draws a pool of its own: `features`
        are then those of the first seed.
    targets : ndarray of float32, shape (t, d), or None
        The encoded query of the seed set.
    """

    spec: ExperimentSpec
    encoder: str
    features: np.ndarray
    labels: np.ndarray
    ids: tuple[str, ...]
    classes: tuple[str, ...]
    kind: Kind
    test: np.ndarray | None
    modality: str
    views: Mapping[str, np.ndarray] = field(default_factory=dict)
    items: Any = None
    learning: Learning | None = None
    targets: np.ndarray | None = None

    def features_of(self, seed: int) -> np.ndarray:
        """Return the features of a seed: an encoder that learns does so from its pool alone."""
        if self.learning is None or seed == self.spec.seeds[0]:
            return self.features
        return self.learning.features(self.split(seed)[0])[0].array

    def split(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Return pool and test positions for a seed."""
        shell = Dataset(
            name=self.spec.dataset,
            modality="features",
            items=cast(Sequence[Any], self.features),
            ids=self.ids,
            kind=self.kind,
            classes=self.classes,
            labels=self.labels,
            test=self.test,
        )
        pool, test = data.split(
            shell, mode=self.spec.split, test_fraction=self.spec.test_fraction, seed=seed
        )
        if self.spec.imbalance is None:
            return pool, test
        # As the split: one draw for all seeds, or a new one for each.
        drawn = 0 if self.spec.split == "own" else seed
        return self.spec.imbalance.thinned(shell, pool, test, drawn)

    def trajectory(self, strategy: StrategySpec, seed: int, journal: Journal | None) -> Trajectory:
        """Build the loop of one strategy and seed."""
        spec = self.spec
        pool_rows, test_rows = self.split(seed)
        features = self.features_of(seed)
        pool = Pool(
            np.ascontiguousarray(features[pool_rows]),
            [self.ids[p] for p in pool_rows],
            self.classes,
            self.kind,
            items=None if self.items is None else data.take(self.items, pool_rows),
            views={name: np.ascontiguousarray(v[:, pool_rows]) for name, v in self.views.items()},
            modality=self.modality,
            extra={} if self.targets is None else {Need.TARGETS: self.targets},
        )
        oracle = spec.oracle.oracle(self.labels[pool_rows], self.classes, self.kind, seed)
        evaluator = Evaluator(
            np.ascontiguousarray(features[test_rows]),
            self.labels[test_rows],
            self.labels[pool_rows],
            len(self.classes),
            self.kind,
            None if self.items is None else data.take(self.items, test_rows),
        )
        return Trajectory(
            pool,
            learners.make(spec.learner, spec.learner_options),
            strategies.make(strategy.name, strategy.parameters),
            oracle,
            evaluator,
            plan_of(spec, seed, examples_of(spec, self.labels[pool_rows], self.classes, seed)),
            journal,
            run_name(spec, strategy, seed),
            final_of(spec),
        )


def final_of(spec: ExperimentSpec) -> Final | None:
    """Return the expensive learner of an experiment; None without one."""
    if spec.final is None:
        return None
    learner = learners.make(spec.final.learner, spec.final.learner_options)
    return Final(learner, spec.final.at, spec.final.refresh)


def is_finished(
    spec: ExperimentSpec,
    scored: Mapping[str, Any] | None,
    exhausted: bool,
    budgets: Sequence[int | str],
) -> bool:
    """Tell whether every round is scored and every training of the expensive learner is done.

    Parameters
    ----------
    spec : ExperimentSpec
    scored : mapping or None
        The body of the last ``scored`` event of a trajectory.
    exhausted : bool
        Its pool is used up.
    budgets : sequence of int or "end"
        For which the expensive learner was trained.
    """
    if scored is None or (scored["round"] < spec.rounds and not exhausted):
        return False
    return spec.final is None or not due(spec.final.at, scored["labels"], budgets, True)


def _used(spec: ExperimentSpec) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the learners of an experiment, with their options."""
    own: list[tuple[str, Mapping[str, Any]]] = [(spec.learner, spec.learner_options)]
    return own if spec.final is None else [*own, (spec.final.learner, spec.final.learner_options)]


def run_name(spec: ExperimentSpec, strategy: StrategySpec, seed: int) -> str:
    """Return the name of a trajectory in the ledger."""
    return f"{spec.title}/{strategy.title}/{seed}"


def plan_of(spec: ExperimentSpec, seed: int, given: tuple[int, ...] = ()) -> Plan:
    """Return how much is asked, and when; `given` positions are the first of the seed set."""
    return Plan(
        batch=spec.batch,
        rounds=spec.rounds,
        seed_size=spec.seed_size,
        seed_method=spec.seed_set.method,
        parallel=spec.parallel,
        seed=seed,
        given=given,
    )


def _of_pool(spec: ExperimentSpec) -> list[Need]:
    """Return what the pool of an experiment gives to strategies."""
    return [Need.EMBEDDINGS, *([Need.TARGETS] if spec.seed_set.query else [])]


def _refuse_seed_method(name: str) -> None:
    """Raise unless the strategy can choose before there is a model."""
    blind = {Need.EMBEDDINGS, Need.HIDDEN, Need.TARGETS}
    chosen = strategies.get(name)
    if chosen.needs <= blind and not chosen.sequential:
        return
    fit = [
        n for n in strategies.names()
        if strategies.get(n).needs <= blind and not strategies.get(n).sequential
    ]  # fmt: skip
    raise BadInput(
        f"seed_set.method={name!r} cannot choose the first labels: it needs a model or answers",
        f"choose one of: {', '.join(fit)}",
    )


def _refuse_bad_final(spec: ExperimentSpec) -> None:
    """Raise where the expensive learner cannot be trained as the spec says."""
    final = final_of(spec)
    if final is None:
        return
    last = spec.seed_size + spec.batch * spec.rounds
    if final.at and final.at[-1] > last:
        raise BadInput(
            f"final.at has {final.at[-1]}, and the study ends at {last} labels",
            f"give at most {last}, or more rounds",
        )
    if final.at and final.at[0] < spec.seed_size:
        raise BadInput(
            f"final.at has {final.at[0]}, and the seed set already has {spec.seed_size} labels",
            f"give at least {spec.seed_size}",
        )
    budgets = {spec.seed_size + spec.batch * number for number in range(spec.rounds + 1)}
    late = {at: min(b for b in budgets if b >= at) for at in final.at if at not in budgets}
    if late:
        moved = ", ".join(f"{at} at {labels}" for at, labels in late.items())
        warnings.warn(
            f"{spec.title}: no round ends with these numbers of final.at, so it is trained at the "
            f"next that has as many: {moved} labels",
            stacklevel=2,
        )
    if final.refresh and not final.at:
        raise BadInput(
            "final.refresh renews features after trainings at chosen budgets, and there are none",
            f"give final.at, such as [{spec.seed_size + spec.batch * (spec.rounds // 2)}]",
        )
    if final.refresh and spec.views.count:
        raise BadInput("final.refresh cannot renew encoded views", "leave out views, or refresh")
    if final.refresh and learners.make(spec.learner, spec.learner_options).reads == "items":
        raise BadInput(
            f"final.refresh renews features, and the learner {spec.learner!r} reads items",
            "use a learner that reads features, such as linear",
        )


def refuse_bad_names(study: StudySpec) -> None:
    """Check every name and parameter of a spec before any work is done.

    Raises
    ------
    BadInput, MissingNeed
    """
    for spec in study.experiments:
        learner = learners.make(spec.learner, spec.learner_options)
        _refuse_seed_method(spec.seed_set.method)
        if spec.views.count and not any(learners.get(name).uses_views for name, _ in _used(spec)):
            using = [n for n in learners.names() if learners.get(n).uses_views]
            raise BadInput(
                f"views.count={spec.views.count}, and "
                f"{' and '.join(repr(name) for name, _ in _used(spec))} use no views",
                f"leave views out, or use one of: {', '.join(using)}",
            )
        _refuse_bad_final(spec)
        for one in spec.strategies:
            strategy = strategies.make(one.name, one.parameters)
            gives = learner.serving(strategy.needs).gives
            refuse_unmet_needs(strategy, spec.learner, [*_of_pool(spec), *gives], None)
        known = [*METRICS, "pool_accuracy"]
        if spec.metric not in known:
            raise unknown_name("metric", spec.metric, known)
        if spec.metric in METRICS and not METRICS[spec.metric].higher_is_better:
            rising = [m for m in known if m not in METRICS or METRICS[m].higher_is_better]
            raise BadInput(
                f"metric {spec.metric!r} falls as a model gets better; savings need one that rises",
                f"choose one of: {', '.join(rising)}; {spec.metric} is reported all the same",
            )
        if spec.encoder != "auto":
            encoders.make(spec.encoder, **spec.encoder_options)


@dataclass(frozen=True)
class Made:
    """How the features of an experiment were made, and its views, weak ones and strong ones."""

    features: Features
    views: tuple[Features, ...] = ()


Prepared = tuple[Material, Made, dict[str, str]]


def prepare(spec: ExperimentSpec, progress: Callable[[int, int], None] | None = None) -> Prepared:
    """Load, check and encode the data of one experiment.

    Returns
    -------
    material : Material
    made : Made
    facts : dict of str to str
        What a reader of the report should know of the data.
    """
    dataset = data.load(spec.dataset, **spec.dataset_options)
    if spec.imbalance is not None:
        dataset = spec.imbalance.merged(dataset)
    data.require_trainable(dataset)
    name = encoders.default_for(dataset.modality) if spec.encoder == "auto" else spec.encoder
    encoder = encoders.make(name, **spec.encoder_options)
    check_modality(encoder, dataset, fitting(dataset.modality))
    labels = dataset.labels
    if labels is None:
        raise BadInput(
            f"{spec.dataset} has no labels", "a simulation needs them; see --label-column"
        )
    if spec.metric in METRICS and dataset.kind not in METRICS[spec.metric].kinds:
        suited = [m for m, about in METRICS.items() if dataset.kind in about.kinds]
        raise BadInput(
            f"metric {spec.metric!r} is not defined on {dataset.kind} data",
            f"choose one of: {', '.join(suited)}",
        )
    for learner_name, options in _used(spec):
        learners.refuse_kind(learner_name, dataset.kind)
        learners.refuse_modality(learner_name, dataset.modality, options)
    if spec.views.count:
        refuse_no_views(dataset)
        if encoder.learns and spec.split == "redraw":
            raise BadInput(
                f"views.count={spec.views.count}: the encoder {name!r} learns from the pool, and "
                "split=redraw draws one for every seed",
                "leave views out, use split=own, or an encoder such as minilm",
            )
    for one in spec.strategies:
        strategy = strategies.make(one.name, one.parameters)
        learner = learners.make(spec.learner, spec.learner_options)
        gives = learner.serving(strategy.needs).gives
        refuse_unmet_needs(strategy, spec.learner, [*_of_pool(spec), *gives], dataset.kind)
        refuse_unknown_classes(strategy, dataset.classes)
    spec.oracle.shares(dataset.classes, dataset.kind)  # refuses classes that are not there
    known = (labels >= 0) if labels.ndim == 1 else (labels >= 0).all(axis=1)
    rows = np.flatnonzero(known)
    facts = dict(dataset.facts)
    if dataset.licence:
        facts["licence"] = dataset.licence
    if len(rows) < len(dataset):
        facts["left out"] = f"{len(dataset) - len(rows)} items without a label"
    moved = np.full(len(dataset), -1, dtype=np.int64)
    moved[rows] = np.arange(len(rows))
    test = None
    if dataset.test is not None:
        test = moved[dataset.test]
        test = np.sort(test[test >= 0])
    # Refuse impossible plans before the encoder starts, which may take minutes.
    shell = Material(
        spec, name, np.zeros((len(rows), 1), np.float32), labels[rows],
        tuple(dataset.ids[r] for r in rows), dataset.classes, dataset.kind, test,
        dataset.modality,
    )  # fmt: skip
    for seed in spec.seeds[: 1 if spec.split == "own" else None]:
        pool_rows, test_rows = shell.split(seed)
        if len(test_rows) == 0:
            raise BadInput(f"{spec.dataset} leaves no test items", "raise test_fraction")
        examples_of(spec, shell.labels[pool_rows], shell.classes, seed)
        plan_of(spec, seed).refuse_if_too_large(
            Pool(shell.features[pool_rows], [shell.ids[p] for p in pool_rows], shell.classes)
        )
    if spec.imbalance is not None:
        facts["pool"] = told(shell.labels[shell.split(spec.seeds[0])[0]], dataset.classes)
    learning = Learning(encoder, dataset, rows) if encoder.learns else None
    if learning is None:
        made = encoders.features(dataset, encoder, progress=progress)
        array = np.ascontiguousarray(made.array[rows], dtype=np.float32)
    else:
        made, encoder = learning.features(shell.split(spec.seeds[0])[0], progress)
        array = np.ascontiguousarray(made.array, dtype=np.float32)
    views: dict[str, np.ndarray] = {}
    strengths: tuple[Strength, ...] = ("weak", "strong") if spec.views.count else ()
    # Only what is learned from needs views: with a split of its own, that is known.
    needed = shell.split(spec.seeds[0])[0] if spec.split == "own" else np.arange(len(rows))
    extra: list[Features] = []
    for strength in strengths:
        found = encoded_views(
            dataset, encoder, strength, spec.views.count, spec.views.seed, positions=rows[needed],
            progress=progress,
        )  # fmt: skip
        whole = np.zeros((spec.views.count, len(rows), found.array.shape[2]), dtype=np.float32)
        whole[:, needed] = found.array
        views[strength] = whole
        extra.append(found)
    material = Material(
        spec,
        name,
        array,
        shell.labels,
        shell.ids,
        shell.classes,
        shell.kind,
        test,
        dataset.modality,
        views,
        data.take(dataset.items, rows)
        if any(learners.make(*used).reads == "items" for used in _used(spec))
        else None,
        learning if spec.split == "redraw" else None,
        targets_of(spec, dataset, encoder),
    )
    return material, Made(made, tuple(extra)), facts


def encoded_event(material: Material, made: Made, facts: dict[str, str]) -> dict[str, Any]:
    """Return what the ledger keeps of the prepared data."""
    parts = (made.features, *made.views)
    pool, test = material.split(material.spec.seeds[0])
    labels = material.labels[test]
    counts = (
        labels.sum(axis=0)
        if labels.ndim == 2
        else np.bincount(labels, minlength=len(material.classes))
    )
    return {
        "experiment": material.spec.title,
        "encoder": material.encoder,
        "key": made.features.key,
        "labels_key": _labels_key(material),
        "classes": list(material.classes),
        "kind": material.kind,
        "test_counts": [int(c) for c in counts],
        "pool_size": len(pool),
        "test_size": len(test),
        "dimension": int(material.features.shape[1]),
        "seconds": float(sum(part.seconds for part in parts)),
        "seconds_views": float(sum(part.seconds for part in made.views)),
        "seconds_always": float(sum(part.always for part in parts)),
        "from_cache": all(part.from_cache for part in parts),
        "fresh": float(made.features.fresh),
        "fresh_views": [float(part.fresh) for part in made.views],
        "redrawn": material.spec.split == "redraw",
        "facts": facts,
    }


def _labels_key(material: Material) -> str:
    import hashlib

    digest = hashlib.sha256(np.ascontiguousarray(material.labels, dtype=np.int64).tobytes())
    digest.update("\x1f".join(material.ids).encode())
    digest.update(b"" if material.test is None else material.test.tobytes())
    return digest.hexdigest()
