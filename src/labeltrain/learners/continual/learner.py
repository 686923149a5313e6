"""Learners that go on from the model before, and what they are measured against."""

from __future__ import annotations

import copy
import inspect
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from labeltrain.encoders.base import choose_device
from labeltrain.errors import BadInput, missing_extra
from labeltrain.kernels import clock
from labeltrain.kernels.threads import torch_threads
from labeltrain.learners.base import Cost, Learner, Model, PriorModel, Training
from labeltrain.learners.checks import check_choice, check_flag, check_share, check_whole
from labeltrain.learners.continual.bodies import NETWORKS, Body, base_of
from labeltrain.learners.continual.memory import Memory
from labeltrain.learners.continual.model import ContinualModel
from labeltrain.learners.continual.training import (
    ADAMW,
    SGD,
    Plan,
    Replay,
    Report,
    outputs_of,
    train,
)
from labeltrain.learners.continual.variant import Variant
from labeltrain.learners.mlp import MLP
from labeltrain.needs import Need

EPOCHS, ENOUGH, PLATEAU = "epochs", "enough", "plateau"
PATIENCE = 2  # passes without progress
REPLAY = 4  # times the batch; published: 1 to 2, without a stop once enough is known
STEPS = 100  # of a round, at least, if it needs them: three new labels are one batch a pass


class Continuing(Learner):
    """What all of them share: a network that may go on from that of the round before.

    Subclasses say what a round trains on.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"multiclass"})
    imports: ClassVar[tuple[str, ...]] = ("torch", "torch._dynamo")  # the latter by optimisers
    gives: frozenset[Need] = MLP.gives  # type: ignore[misc]  # then of the network
    model: ClassVar[type[Model]] = ContinualModel
    teaches: ClassVar[bool] = False  # its models keep what they said of the items they learned

    def _set(
        self,
        network: str,
        network_options: Mapping[str, Any] | None,
        optimizer: str,
        first_epochs: int,
        enough: float,
    ) -> None:
        name = self.name
        check_choice(name, tuple(NETWORKS), network=network)
        if network_options is not None and not isinstance(network_options, Mapping):
            raise BadInput(
                f"{name}: network_options={network_options!r} is no mapping", "such as {width: 256}"
            )
        check_choice(name, (ADAMW, SGD), optimizer=optimizer)
        check_whole(name, first_epochs=first_epochs)
        check_share(name, enough=enough)
        self.base = base_of(name, network, network_options or {})
        self.network, self.optimizer = network, optimizer
        self.first_epochs, self.enough = first_epochs, float(enough)
        self.reads = self.base.reads  # type: ignore[misc,assignment]
        self.gives = self.base.gives
        self.modalities = NETWORKS[network][0].modalities  # type: ignore[misc]

    def fit(
        self, training: Training, rng: np.random.Generator, previous: Model | None = None
    ) -> Model:
        """Return a model of the labels so far, from `previous` where that fits.

        Where nothing was learned before, or with other classes, features or network, or by a
        learner that keeps other things, all labels are learned as in a first round. Without new
        labels `previous` is returned as it is.

        Raises
        ------
        BadInput
            A network on items, and there are none.
        """
        started = clock.seconds()
        if self.reads == "items" and training.items is None:
            raise BadInput(
                f"the learner {self.name!r} with network={self.network!r} reads "
                f"{' or '.join(sorted(self.modalities))}s, and there are none",
                "give the items beside the features",
            )
        if len(np.unique(training.labels)) < 2:
            return PriorModel(training.prior(), training.features.shape[1])
        before = previous if isinstance(previous, ContinualModel) else None
        if before is not None and not self.base.fits(training, before.inner):
            before = None
        memory = Memory.empty(training.classes) if before is None else before.memory
        if before is not None and self.teaches != (memory.targets.shape[1] > 0):
            before, memory = None, Memory.empty(training.classes)
        new, old = memory.parted(training.labelled, training.labels)
        if before is not None and not len(new):
            same = ContinualModel(before.inner, before.memory, before.told)
            same.cost = Cost(0, clock.seconds() - started)
            return same
        try:
            import torch
        except ImportError as error:
            raise missing_extra("torch", "hf", f"the learner {self.name!r}") from error
        device = choose_device("auto", torch)
        gpus = list(range(torch.cuda.device_count())) if device != "cpu" else []
        with torch_threads(torch), torch.random.fork_rng(devices=gpus):
            torch.manual_seed(int(rng.integers(2**62)))
            model, examples = self._learned(training, rng, before, memory, new, old)
        model.cost = Cost(examples, clock.seconds() - started)
        return model

    @abstractmethod
    def _learned(
        self,
        training: Training,
        rng: np.random.Generator,
        before: ContinualModel | None,
        memory: Memory,
        new: np.ndarray,
        old: np.ndarray,
    ) -> tuple[ContinualModel, int]:
        """Return the model and the examples it cost."""

    def _plan(self, rows: np.ndarray, epochs: int, **more: Any) -> Plan:
        base = self.base
        return Plan(
            rows, epochs, base.batch, base.learning_rate, base.weight_decay, self.optimizer, **more
        )

    def _model(
        self, body: Body, training: Training, memory: Memory, report: Report
    ) -> tuple[ContinualModel, int]:
        told = {
            "steps": report.steps,
            "epochs": report.epochs,
            "replayed": report.replayed,
            "looked_at": report.looked_at,
            "rollbacks": report.rollbacks,
        }
        model = ContinualModel(body.model(training, report.steps), memory, told)
        return model, report.examples + body.read


def replay_of(batch: int) -> int:
    """Return how many old items stand beside a batch of new ones, where nobody says."""
    return REPLAY * batch


def on_device(training: Training, body: Body) -> Any:
    """Return the labels as a tensor where the network is."""
    import torch

    return torch.from_numpy(training.labels.astype(np.int64)).to(body.device)


class ContinualLearner(Continuing):
    """Learns the new items and replays old ones; :func:`continual` makes one of a variant.

    Parameters
    ----------
    network : {"mlp", "finetune", "cnn", "transformer"}
        What goes on: a perceptron on features; a pretrained model; networks from scratch.
    network_options : dict
        Of the learner of that name: its architecture, `batch`, `learning_rate`, `weight_decay`.
    epochs : int
        Passes over the new items in a round, at most. Where they are so few that this were fewer
        than 100 steps, as many passes as those take; not with ``stop="epochs"``.
    first_epochs : int
        Passes over the first items, at most: it ends once a pass was predicted right but for
        ``1 - enough``.
    enough : float
    replay : int, optional
        Old items beside each batch of new ones; four times the batch by default.
    stop : {"enough", "epochs", "plateau"}
        When a round ends, after `epochs` at the latest. "enough": as the first one, by what is
        predicted right of the new items and of those replayed beside them, once nine of ten of the
        new ones are. "plateau": the loss on
        a tenth of the old items, which this round does not replay, tells when there is no progress
        any more; then the rate falls.
    keep : int, optional
        Items that may be replayed at most, drawn at random; all by default. An item takes 2 bytes
        a class and 24 more.
    optimizer : {"adamw", "sgd"}
        The rate of SGD is multiplied by (batch + replay) / batch.
    released : bool
        Do what the published code does where that differs from the paper: see docs/learners.md.

    Notes
    -----
    A round costs as many steps however many labels there are. Targets of a distillation are the
    logits, in evaluation mode, of the model that had just learned the item. An item whose label was
    changed is learned as a new one; an item without its label any more is replayed no more.
    """

    variant: ClassVar[type[Variant]]
    continues: ClassVar[bool] = True
    remembers: ClassVar[bool] = True
    teaches: ClassVar[bool] = True

    def __init__(
        self,
        *,
        network: str = "mlp",
        network_options: Mapping[str, Any] | None = None,
        epochs: int = 20,
        first_epochs: int = 100,
        enough: float = 0.99,
        replay: int | None = None,
        stop: str = ENOUGH,
        keep: int | None = None,
        optimizer: str = ADAMW,
        released: bool = False,
        **own: Any,
    ) -> None:
        self._set(network, network_options, optimizer, first_epochs, enough)
        check_whole(self.name, epochs=epochs)
        check_choice(self.name, (ENOUGH, EPOCHS, PLATEAU), stop=stop)
        for option, value in (("replay", replay), ("keep", keep)):
            if value is not None:
                check_whole(self.name, **{option: value})
        check_flag(self.name, released=released)
        if released and keep is not None:
            raise BadInput(
                f"{self.name}: released=True and keep={keep}: the published code keeps all items",
                "give one of them",
            )
        self.epochs, self.stop, self.keep, self.released = epochs, stop, keep, released
        self.replay = replay_of(self.base.batch) if replay is None else replay
        self.replays = self.variant(**own)
        many = self.replays.candidates
        if many is not None and many < self.replay:
            raise BadInput(
                f"{self.name}: candidates={many}, of which {self.replay} are to be replayed",
                "give more candidates than replay: they are what it chooses from",
            )

    def _learned(
        self,
        training: Training,
        rng: np.random.Generator,
        before: ContinualModel | None,
        memory: Memory,
        new: np.ndarray,
        old: np.ndarray,
    ) -> tuple[ContinualModel, int]:
        import torch

        variant = copy.deepcopy(self.replays)
        less = int(self.released)  # the published loop runs one pass less than it is told
        targets = np.full((len(training.labelled), training.classes), np.nan, dtype=np.float32)
        if before is None:
            body = self.base.fresh(training, rng)
            epochs = max(1, self.first_epochs - less)
            plan = self._plan(new, epochs, enough=self.enough, captures=self.released)
        else:
            body = self.base.continued(training, before.inner, rng)
            patience = PATIENCE if self.stop == PLATEAU else None
            epochs = max(1, self.epochs - less)
            plan = self._plan(
                new,
                epochs,
                enough=self.enough if self.stop == ENOUGH else None,
                patience=patience,
                steps=0 if self.stop == EPOCHS or self.released else STEPS,
                captures=self.released,
            )
            targets[old] = memory.targets_of(training.labelled[old])
        replay = Replay(
            variant, old, self.replay, torch.from_numpy(targets).to(body.device), len(new),
            len(training.labelled) - len(new), self.released,
        )  # fmt: skip
        report = train(body, on_device(training, body), plan, rng, replay)
        taught = outputs_of(body, new)
        if self.released:  # those of a training that diverged in its first pass were not captured
            for i, row in enumerate(new.tolist()):
                taught[i] = report.outputs.get(row, taught[i])
        held = memory.after(
            training.labelled, training.labels, old, new, taught, most=self.keep, rng=rng
        )
        if self.released:
            held = _overwritten(self.name, held)
        return self._model(body, training, held, report)


def _overwritten(name: str, memory: Memory) -> Memory:
    """Return the targets as the published code leaves them: those of each round are the latest.

    It has one tensor of targets, as long as the first round, which all rounds share.
    """
    first = int((memory.rounds == 0).sum())
    last = np.flatnonzero(memory.rounds == memory.rounds.max())
    if len(last) > first:
        raise BadInput(
            f"{name}: released=True, and a round of {len(last)} labels after a first of {first} "
            "whose labels still stand: the published code keeps as many targets",
            "give a first round at least as large as the others, and withdraw and change nothing",
        )
    targets = memory.targets.copy()
    for number in np.unique(memory.rounds).tolist():
        rows = np.flatnonzero(memory.rounds == number)[: len(last)]
        targets[rows] = memory.targets[last[: len(rows)]]
    return Memory(
        memory.positions, memory.labels, memory.rounds, targets, memory.dropped,
        memory.dropped_labels,
    )  # fmt: skip


def continual(variant: type[Variant]) -> type[ContinualLearner]:
    """Return the learner that replays as this variant does, under its name.

    Its parameters are those of the variant and of :class:`ContinualLearner`.
    """
    own = [
        p.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for p in inspect.signature(variant).parameters.values()
    ]
    common = [
        p for p in inspect.signature(ContinualLearner).parameters.values()
        if p.kind is inspect.Parameter.KEYWORD_ONLY
    ]  # fmt: skip
    members: Mapping[str, Any] = {
        "name": variant.name,
        "summary": variant.summary,
        "variant": variant,
        "imports": (*ContinualLearner.imports, *variant.imports),
        "__doc__": variant.__doc__,
        "__module__": variant.__module__,
        "__signature__": inspect.Signature([*common, *own]),
    }
    return type(f"{variant.__name__}Learner", (ContinualLearner,), dict(members))
