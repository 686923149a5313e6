"""Learning end to end: a network is trained on the items themselves, with or without labels."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePath
from typing import Any, ClassVar

import numpy as np

from labeltrain.data import take
from labeltrain.encoders.base import choose_device
from labeltrain.errors import BadInput, missing_extra
from labeltrain.kernels.threads import torch_threads
from labeltrain.learners.base import Cost, Learner, Model, PriorModel, Training
from labeltrain.learners.networks.backbone import Backbone
from labeltrain.learners.networks.classifier import (
    adapted,
    classifier,
    set_dropout,
    trained_arrays,
)
from labeltrain.learners.networks.heads import from_names, from_probe
from labeltrain.learners.networks.model import PREFIX, Network, NetworkModel
from labeltrain.learners.networks.options import Options
from labeltrain.learners.networks.shelf import BATCH, Shelf, in_batches, states_of
from labeltrain.learners.networks.source import ItemSource
from labeltrain.learners.semi.checkpoint import Checkpoint, name_of
from labeltrain.learners.semi.training import Report, Settings, train
from labeltrain.needs import Need
from labeltrain.rng import stream

MOMENTS = 512  # unlabelled items from which mean and deviation of the vectors come, beside labelled
WATCHED = 256  # items whose predictions tell when a training is stable


@dataclass(frozen=True)
class _Ready:
    """A network before its training, and what it reads."""

    below: Any
    network: Any
    rows: Sequence[np.ndarray]
    states: Sequence[np.ndarray] | None
    examples: int  # forward passes so far

    def input(self, backbone: Backbone, positions: Sequence[int], device: str) -> Any:
        """Return the input of the trained part for some items, as they are."""
        if self.states is not None:
            return backbone.together([self.states[p] for p in positions], device)
        batch = backbone.tensors([self.rows[p] for p in positions], device)
        return batch if self.below is None else self.below(batch)


class NetworkLearner(Learner):
    """What end-to-end learners share; a subclass says which backbone.

    See :class:`labeltrain.learners.networks.options.Options` for the options of the training.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"multiclass"})
    gives: ClassVar[frozenset[Need]] = frozenset({Need.PROBABILITIES, Need.HIDDEN, Need.HEAD})
    reads = "items"
    model: ClassVar[type[Model]] = NetworkModel

    def __init__(self, options: Options) -> None:
        self.options = options
        self._held: tuple[Any, np.ndarray | None, Network | Shelf] | None = None
        self._shelf: tuple[Any, Any, Shelf, Any] | None = None

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
        started = time.perf_counter()
        if training.items is None:
            raise BadInput(
                f"the learner {self.name!r} reads {' or '.join(sorted(self.modalities))}s, and "
                "there are none",
                "give the items beside the features",
            )
        if len(np.unique(training.labels)) < 2:
            return PriorModel(training.prior(), training.features.shape[1])
        model, examples = self._train(training, rng)
        model.cost = Cost(examples, time.perf_counter() - started)
        return model

    def _train(self, training: Training, rng: np.random.Generator) -> tuple[NetworkModel, int]:
        try:
            import torch
        except ImportError as error:
            raise missing_extra("torch", "hf", f"the learner {self.name!r}") from error
        options = self.options
        device = choose_device(options.device, torch)
        checkpoint = self._checkpoint(training, rng)
        gpus = list(range(torch.cuda.device_count())) if device != "cpu" else []
        with torch_threads(torch), torch.random.fork_rng(devices=gpus):
            torch.manual_seed(int(rng.integers(2**62)))
            shelf, below = self._shelf_of(training, device)
            ready = self._ready(training, shelf, below, rng, device)
            source, others = self._source(training, shelf, ready, rng, device)
            counts = np.bincount(training.labels, minlength=training.classes)
            seen = counts > 0
            labels = torch.from_numpy((np.cumsum(seen) - 1)[training.labels]).to(device)
            best, report = train(
                ready.network,
                source,
                labels,
                len(others),
                options.weighting(),
                self._settings(counts[seen], torch, device),
                rng,
                class_weights=options.class_weights(counts[seen], device),
                groups=self._groups(ready.network),
                guess=self._guess(shelf.backbone, ready, others, device),
                checkpoint=checkpoint,
            )
        if checkpoint is not None:
            checkpoint.delete()
        model = self._model(training, shelf, ready.below, best.eval(), seen, report, device)
        return model, ready.examples + report.examples

    # -- before the training -------------------------------------------------------------------

    def _shelf_of(self, training: Training, device: str) -> tuple[Shelf, Any]:
        """Return rows of this pool's items, and the frozen lower part: made once for all rounds."""
        if self._shelf is not None:
            items, usable, shelf, below = self._shelf
            if items is training.items and _equal(usable, training.usable):
                return shelf, below
        backbone = self.backbone(_modality(training))
        usable = training.usable
        everything = np.arange(len(training.items))
        backbone.begin(
            take(training.items, everything if usable is None else np.flatnonzero(usable))
        )
        shelf = Shelf(backbone, self.options.memory)
        below = None
        if self.options.adapt == "last":
            below, _ = adapted(backbone, "last", self.options.layers, self.options.rank)
            below = below.to(device)
        held = None if usable is None else usable.copy()
        self._shelf = (training.items, held, shelf, below)
        return shelf, below

    def _ready(
        self, training: Training, shelf: Shelf, below: Any, rng: np.random.Generator, device: str
    ) -> _Ready:
        """Return the network with moments and head, as training begins."""
        options, backbone = self.options, shelf.backbone
        rows = shelf.rows(training.items)
        _below, trained = adapted(backbone, options.adapt, options.layers, options.rank)
        trained = trained.to(device).eval()
        if backbone.pretrained and options.dropout is not None:
            set_dropout(trained, options.dropout)
        states, examples = None, 0
        copies = 1 + (options.copies if options.method != "none" else 0)
        if below is not None and shelf.fits(below, rows, copies, device):
            states = shelf.inputs(training.items, below, device)
        bare = _Ready(below, None, rows, states, 0)
        others = training.unlabelled
        sample = rng.permutation(len(others))[:MOMENTS]
        chosen = np.concatenate([training.labelled, others[sample]])
        vectors = _vectors(backbone, bare, trained, chosen.tolist(), device)
        examples += len(chosen)
        mean = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
        deviation = vectors.std(axis=0, dtype=np.float64).astype(np.float32)
        deviation = np.where(deviation > 1e-6, deviation, np.float32(1.0))
        seen = np.flatnonzero(np.bincount(training.labels, minlength=training.classes))
        network = classifier(trained, mean, deviation, len(seen)).to(device)
        ready = ((vectors - mean) / deviation)[: len(training.labelled)]
        if options.head == "probe":
            from_probe(network.head, ready, np.searchsorted(seen, training.labels))
        elif options.head == "names":
            if not hasattr(backbone, "words_of"):
                raise BadInput(
                    f"{self.name}: head='names', and the model reads no texts", "use head=probe"
                )
            if training.names is None:
                raise BadInput(f"{self.name}: head='names' without names", "use head=probe")
            names = [training.names[c] for c in seen.tolist()]
            spelt = _Ready(below, None, backbone.words_of(names), None, 0)
            found = _vectors(backbone, spelt, trained, list(range(len(names))), device)
            from_names(network.head, (found - mean) / deviation)
        return _Ready(below, network, rows, states, examples)

    def _source(
        self, training: Training, shelf: Shelf, ready: _Ready, rng: np.random.Generator, device: str
    ) -> tuple[ItemSource, np.ndarray]:
        """Return the views for the training, and the positions of the unlabelled items."""
        options = self.options
        others = training.unlabelled if options.method != "none" else np.empty(0, dtype=np.int64)
        strong: dict[int, list[np.ndarray]] = {}
        if ready.states is not None and len(others):
            others, strong = self._strong(others, len(training.items), shelf, ready, device)
        return (
            ItemSource(
                shelf.backbone, ready.below, ready.rows, ready.states, strong,
                training.labelled, others, device, rng,
            ),
            others,
        )  # fmt: skip

    def _strong(
        self, others: np.ndarray, n: int, shelf: Shelf, ready: _Ready, device: str
    ) -> tuple[np.ndarray, dict[int, list[np.ndarray]]]:
        """Return unlabelled items, a sample at most, with activations of strong views of each.

        Items are taken along one fixed random order of the pool, in whole blocks, so that views
        and their last bits are the same in every round and after a resume.
        """
        options, backbone = self.options, shelf.backbone
        order = stream(0, "strong views").permutation(n)
        free = np.zeros(n, dtype=bool)
        free[others] = True
        last = np.flatnonzero(free[order])[: options.sample][-1]
        blocks = range(last // BATCH + 1)
        for block in blocks:
            if block in shelf.strong:
                continue
            positions = order[block * BATCH : (block + 1) * BATCH].tolist()
            shelf.strong[block] = {p: [] for p in positions}
            for copy in range(options.copies):
                draws = stream(0, "strong views", block, copy)
                views = [backbone.view(ready.rows[p], "strong", draws) for p in positions]
                for p, states in zip(
                    positions, states_of(backbone, ready.below, views, device), strict=True
                ):
                    shelf.strong[block][p].append(states)
        found = {p: held for block in blocks for p, held in shelf.strong[block].items() if free[p]}
        chosen = np.array(sorted(found), dtype=np.int64)
        return chosen, found

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

    def _groups(self, network: Any) -> list[dict[str, Any]]:
        head = list(network.head.parameters())
        mine = {id(p) for p in head}
        body = [p for p in network.parameters() if p.requires_grad and id(p) not in mine]
        return [
            {"params": body, "scale": 1.0},
            {"params": head, "scale": self.options.head_rate},
        ]

    def _guess(self, backbone: Backbone, ready: _Ready, others: np.ndarray, device: str) -> Any:
        """Return what predicts a fixed sample, where a training ends when it is stable."""
        if self.options.stop == "steps":
            return None
        pool = others if len(others) else np.arange(len(ready.rows))
        watched = stream(0, "watched").permutation(pool)[:WATCHED].tolist()

        def guess(network: Any) -> np.ndarray:
            import torch

            found = np.empty(len(watched), dtype=np.int64)
            with torch.no_grad():
                for start in range(0, len(watched), BATCH):
                    part = watched[start : start + BATCH]
                    logits = network.eval()(ready.input(backbone, part, device))
                    found[start : start + len(part)] = logits.argmax(dim=1).cpu().numpy()
            return found

        return guess

    def _checkpoint(self, training: Training, rng: np.random.Generator) -> Checkpoint | None:
        if training.checkpoint is None:
            return None
        facts = {
            "learner": self.name,
            "options": asdict(self.options),
            "rng": rng.bit_generator.state,
            "usable": None if training.usable is None else int(training.usable.sum()),
        }
        return Checkpoint(training.checkpoint, name_of(facts, training.labelled, training.labels))

    # -- after it ------------------------------------------------------------------------------

    def _model(
        self, training: Training, shelf: Shelf, below: Any, best: Any, seen: np.ndarray,
        report: Report, device: str,
    ) -> NetworkModel:  # fmt: skip
        options = self.options
        arrays = {PREFIX + k: v for k, v in trained_arrays(best.trained).items()}
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
        return NetworkModel(arrays, facts, Network(shelf.backbone, below, best, shelf, device))


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


def _vectors(
    backbone: Backbone, ready: _Ready, trained: Any, positions: list[int], device: str
) -> np.ndarray:
    """Return the raw vectors, float32 (k, d), of some items as they are."""
    import torch

    rows = [ready.rows[p] for p in positions]
    result: np.ndarray | None = None
    with torch.no_grad():
        for places in in_batches(rows):
            made = trained(ready.input(backbone, [positions[i] for i in places], device))
            block = made.float().cpu().numpy()
            if result is None:
                result = np.empty((len(rows), block.shape[1]), dtype=np.float32)
            result[places] = block
    if result is None:
        raise BadInput("there are no items to train on", "give items")
    return result
