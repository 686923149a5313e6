"""Learning end to end: a network is trained on the items themselves, with or without labels."""

from __future__ import annotations

import copy
from abc import abstractmethod
from dataclasses import asdict
from pathlib import PurePath
from typing import Any, ClassVar

import numpy as np

from labeltrain.data import take
from labeltrain.encoders.base import choose_device
from labeltrain.errors import BadInput, missing_extra
from labeltrain.kernels import clock
from labeltrain.kernels.threads import torch_threads
from labeltrain.learners.base import Cost, Learner, Model, PriorModel, Training
from labeltrain.learners.networks.backbone import Backbone
from labeltrain.learners.networks.classifier import (
    adapted,
    classifier,
    set_dropout,
    trained_arrays,
    trained_names,
)
from labeltrain.learners.networks.heads import from_names, from_probe
from labeltrain.learners.networks.model import PREFIX, Network, NetworkModel
from labeltrain.learners.networks.noisy_student import NoisyStudent
from labeltrain.learners.networks.options import Options
from labeltrain.learners.networks.shelf import Shelf, content_of, in_batches, shared
from labeltrain.learners.networks.source import ItemSource
from labeltrain.learners.networks.text import TextBackbone
from labeltrain.learners.semi.checkpoint import Checkpoint, name_of
from labeltrain.learners.semi.training import Report, Settings, train
from labeltrain.needs import Need
from labeltrain.rng import stream

MOMENTS = 512  # unlabelled items from which mean and deviation of the vectors come, beside labelled
PREDICTED = 2000  # items whose predictions say how frequent classes are in the pool
WATCHED = 256  # items whose predictions tell when a training is stable


class NetworkLearner(Learner):
    """What end-to-end learners share; a subclass says which backbone.

    See :class:`labeltrain.learners.networks.options.Options` for the options of the training.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"multiclass"})
    imports: ClassVar[tuple[str, ...]] = ("torch", "torch._dynamo")  # the latter by optimisers
    gives: ClassVar[frozenset[Need]] = frozenset({Need.PROBABILITIES, Need.HIDDEN, Need.HEAD})
    reads = "items"
    model: ClassVar[type[Model]] = NetworkModel

    def __init__(self, options: Options) -> None:
        self.options = options
        self._shelf: tuple[bytes, np.ndarray | None, Shelf] | None = None

    @abstractmethod
    def backbone(self, modality: str) -> Backbone:
        """Return the backbone for items of this modality."""

    def fit(
        self, training: Training, rng: np.random.Generator, previous: Model | None = None
    ) -> Model:
        """Return a model of the labels so far; `previous` is not used.

        Raises
        ------
        BadInput
            No items, or items that the network does not read.
        """
        started = clock.seconds()
        if training.items is None:
            raise BadInput(
                f"the learner {self.name!r} reads {' or '.join(sorted(self.modalities))}s, and "
                "there are none",
                "give the items beside the features",
            )
        if len(np.unique(training.labels)) < 2:
            return PriorModel(training.prior(), training.features.shape[1])
        model, examples, before, prepared = self._train(training, rng)
        model.cost = Cost(examples, before + clock.seconds() - started, prepared)
        return model

    def _train(
        self, training: Training, rng: np.random.Generator
    ) -> tuple[NetworkModel, int, float, float]:
        """Return the model, the examples it cost, the seconds of processes before, and of fits."""
        try:
            import torch
        except ImportError as error:
            raise missing_extra("torch", "hf", f"the learner {self.name!r}") from error
        options = self.options
        device = choose_device(options.device, torch)
        begun = copy.deepcopy(rng)
        gpus = list(range(torch.cuda.device_count())) if device != "cpu" else []
        with torch_threads(torch), torch.random.fork_rng(devices=gpus):
            shelf = self.shelf_of(training, torch, device)
            prepared = shelf.seconds(training.items)
            checkpoint = self._checkpoint(training, shelf, begun)
            torch.manual_seed(int(rng.integers(2**62)))
            states = shelf.states(training.items, 1 + options.copies * options.learns_unlabelled)
            network, examples = self.begun(training, shelf, states, rng)
            changed = trained_names(network.trained)
            source, others = self._source(training, shelf, states, rng)
            counts = np.bincount(training.labels, minlength=training.classes)
            seen = counts > 0
            labels = torch.from_numpy((np.cumsum(seen) - 1)[training.labels]).to(device)
            weighting = options.weighting()
            if isinstance(weighting, NoisyStudent):
                examples += weighting.taught(training, others, rng)
            best, report = train(
                network,
                source,
                labels,
                len(others),
                weighting,
                self._settings(counts[seen], torch, device),
                rng,
                class_weights=options.class_weights(counts[seen], device),
                offset=torch.from_numpy(options.adjustment.in_loss(training, np.flatnonzero(seen))),
                groups=self.groups(network),
                guess=self._guess(training, shelf, states),
                checkpoint=checkpoint,
            )
        arrays = {PREFIX + k: v for k, v in trained_arrays(best.trained, changed).items()}
        model = self._model(training, shelf, best.eval(), arrays, seen, report)
        arrays["head_bias"][seen] -= options.adjustment.afterwards(
            training,
            np.flatnonzero(seen),
            lambda positions: model.predict_proba(take(training.items, positions)),
            most=PREDICTED,
        )
        if checkpoint is not None:
            checkpoint.delete()
        return model, examples + report.examples, report.before, prepared

    # -- before the training -------------------------------------------------------------------

    def shelf_of(self, training: Training, torch: Any, device: str) -> Shelf:
        """Return rows of this pool's items, and the frozen lower part: made once for all rounds."""
        content = content_of(training.items)
        if self._shelf is not None:
            known, usable, shelf = self._shelf
            if known == content and _equal(usable, training.usable):
                return shelf
        options = self.options
        backbone = self.backbone(_modality(training))
        usable = training.usable
        everything = np.arange(len(training.items))
        backbone.begin(
            take(training.items, everything if usable is None else np.flatnonzero(usable))
        )

        def make() -> Shelf:
            below = None
            if options.adapt == "last":
                below, _ = adapted(backbone, "last", options.layers, options.rank)
                below = below.to(device)
            return Shelf(backbone, below, options.memory, device)

        key = (
            backbone.facts(), options.adapt, options.layers, options.memory, device,
            torch.get_num_threads(),
        )  # fmt: skip
        shelf = shared(key, make)
        self._shelf = (content, None if usable is None else usable.copy(), shelf)
        return shelf

    def begun(
        self, training: Training, shelf: Shelf, states: Any, rng: np.random.Generator
    ) -> tuple[Any, int]:
        """Return the network with moments and head, as training begins, and the examples read."""
        options, backbone = self.options, shelf.backbone
        _below, trained = adapted(backbone, options.adapt, options.layers, options.rank)
        trained = trained.to(shelf.device).eval()
        if backbone.pretrained and options.dropout is not None:
            set_dropout(trained, options.dropout)
        others = training.unlabelled
        sample = others[rng.permutation(len(others))[:MOMENTS]]
        chosen = np.concatenate([training.labelled, sample]).tolist()
        if states is not None:
            vectors = in_batches(
                [states[p] for p in chosen], lambda some: trained(shelf.together(some))
            )
        else:
            rows = shelf.rows(training.items)
            vectors = in_batches(
                [rows[p] for p in chosen], lambda some: trained(shelf.input_of(some))
            )
        mean = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
        deviation = vectors.std(axis=0, dtype=np.float64).astype(np.float32)
        deviation = np.where(deviation > 1e-6, deviation, np.float32(1.0))
        seen = np.flatnonzero(np.bincount(training.labels, minlength=training.classes))
        network = classifier(trained, mean, deviation, len(seen)).to(shelf.device)
        if options.head == "probe":
            ready = ((vectors - mean) / deviation)[: len(training.labelled)]
            from_probe(network.head, ready, np.searchsorted(seen, training.labels))
        elif options.head == "names":
            names = self._names(training, backbone, seen)
            found = in_batches(names, lambda some: trained(shelf.input_of(some)))
            from_names(network.head, (found - mean) / deviation)
        return network, len(chosen)

    def _names(self, training: Training, backbone: Backbone, seen: np.ndarray) -> list[np.ndarray]:
        """Return the names of the classes that have a label, as rows."""
        if not isinstance(backbone, TextBackbone):
            raise BadInput(
                f"{self.name}: head='names', and the model reads no texts", "use head=probe"
            )
        if training.names is None:
            raise BadInput(
                f"{self.name}: head='names', and the classes have no names", "use head=probe"
            )
        return backbone.words_of([training.names[c] for c in seen.tolist()])

    def _source(
        self, training: Training, shelf: Shelf, states: Any, rng: np.random.Generator
    ) -> tuple[ItemSource, np.ndarray]:
        """Return the views for the training, and the positions of the unlabelled items."""
        options = self.options
        others = training.unlabelled if options.learns_unlabelled else np.empty(0, dtype=np.int64)
        strong: dict[int, list[np.ndarray]] = {}
        if states is not None and len(others):
            free = np.zeros(len(training.items), dtype=bool)
            free[others] = True
            strong = shelf.strong(training.items, free, options.sample, options.copies)
            others = np.array(sorted(strong), dtype=np.int64)
        rows = shelf.rows(training.items)
        return ItemSource(shelf, rows, states, strong, training.labelled, others, rng), others

    def _settings(self, counts: np.ndarray, torch: Any, device: str) -> Settings:
        options = self.options
        return Settings(
            steps=options.steps,
            batch=options.batch,
            ratio=options.ratio,
            learning_rate=options.learning_rate,
            weight_decay=options.weight_decay,
            warmup=options.warmup,
            weight=options.unlabelled_weight(),
            average=options.average,
            alignment=options.wanted(counts),
            mixed=options.mixed(torch, device),
        )

    def groups(self, network: Any) -> list[dict[str, Any]]:
        """Return the parameters of the optimiser, with factors of the rate."""
        head = list(network.head.parameters())
        mine = {id(p) for p in head}
        body = [p for p in network.parameters() if p.requires_grad and id(p) not in mine]
        return [
            {"params": body, "scale": 1.0},
            {"params": head, "scale": self.options.head_rate},
        ]

    def _guess(self, training: Training, shelf: Shelf, states: Any) -> Any:
        """Return what predicts a fixed sample, where a training ends when it is stable."""
        if self.options.stop == "steps":
            return None
        pool = training.unlabelled if len(training.unlabelled) else training.labelled
        watched = stream(0, "watched").permutation(pool)[:WATCHED].tolist()
        rows = shelf.rows(training.items)
        inputs = [(rows if states is None else states)[p] for p in watched]
        ready = shelf.input_of if states is None else shelf.together

        def guess(network: Any) -> np.ndarray:
            logits = in_batches(inputs, lambda some: network.eval()(ready(some)))
            return np.asarray(logits.argmax(axis=1))

        return guess

    def _checkpoint(
        self, training: Training, shelf: Shelf, rng: np.random.Generator
    ) -> Checkpoint | None:
        if training.checkpoint is None:
            return None
        facts = {
            "learner": self.name,
            "options": asdict(self.options),
            "rng": rng.bit_generator.state,
            "backbone": shelf.backbone.facts(),
            "items": shelf.key(training.items).hex(),
            "classes": training.classes,
            "names": training.names,
        }
        usable = np.ones(len(training.items), bool) if training.usable is None else training.usable
        arrays = [training.labelled, training.labels, usable]
        if self.options.method == NoisyStudent.name:
            arrays.append(training.features)  # its teacher learns from them
        about = name_of(facts, *arrays)
        return Checkpoint(training.checkpoint, about)

    # -- after it ------------------------------------------------------------------------------

    def _model(
        self,
        training: Training,
        shelf: Shelf,
        best: Any,
        arrays: dict[str, np.ndarray],
        seen: np.ndarray,
        report: Report,
    ) -> NetworkModel:
        options = self.options
        for name in ("mean", "deviation"):
            arrays[name] = getattr(best, name).cpu().numpy()
        for name in ("weight", "bias"):
            part = getattr(best.head, name).detach().cpu().numpy()
            whole = np.zeros((len(seen), *part.shape[1:]), dtype=np.float32)
            whole[seen] = part
            arrays["head_weights" if name == "weight" else "head_bias"] = whole
        arrays["seen"] = seen
        facts = {
            "backbone": shelf.backbone.facts(),
            "adapt": options.adapt,
            "layers": options.layers,
            "rank": options.rank,
            "memory": options.memory,
            "device": options.device,
            "labels": len(training.labels),
            "steps": report.steps,
            "used": report.used,
            "rollbacks": report.rollbacks,
            "stopped": report.stopped,
        }
        return NetworkModel(arrays, facts, Network(best, shelf))


def _equal(mine: np.ndarray | None, theirs: np.ndarray | None) -> bool:
    if mine is None or theirs is None:
        return mine is None and theirs is None
    return bool(np.array_equal(mine, theirs))


def _modality(training: Training) -> str:
    """Return what the items are; a string may be a text or the path of an image."""
    if training.modality:
        return training.modality
    first = take(training.items, np.array([0]))[0]
    return "image" if isinstance(first, np.ndarray | PurePath) else "text"
