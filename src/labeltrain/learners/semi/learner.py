"""Semi-supervised methods on frozen features: a small network, weak and strong views."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from labeltrain.encoders.base import choose_device
from labeltrain.errors import BadInput, missing_extra
from labeltrain.kernels import clock
from labeltrain.kernels.threads import torch_threads
from labeltrain.learners.balance import Adjustment, class_weights, wanted_share
from labeltrain.learners.base import Cost, Learner, Model, PriorModel, Training, with_unseen
from labeltrain.learners.checks import (
    check_choice,
    check_device,
    check_not_negative,
    check_positive,
    check_share,
    check_whole,
)
from labeltrain.learners.mlp import MLPModel
from labeltrain.learners.semi.training import Report, Settings, train
from labeltrain.learners.semi.weighting import Weighting
from labeltrain.needs import Need


class SemiModel(MLPModel):
    """A perceptron that knows which classes had a label."""

    name: ClassVar[str] = "semi-supervised"

    def predict_proba(self, features: np.ndarray) -> np.ndarray:
        """Return class probabilities, float64 (k, C).

        Classes without a label share the chance 1/(m+1) that the next of m labels is new.
        """
        seen = self._arrays["seen"].astype(bool)
        weights, bias = self.head
        logits = (self.hidden(features) @ weights.T + bias).astype(np.float64)
        return with_unseen(logits, seen, self._facts["labels"])


class SemiLearner(Learner):
    """A semi-supervised method on frozen features; :func:`on_features` makes one of a method.

    Parameters
    ----------
    width : int
        Units of the hidden layer; 0: none, a linear model.
    steps, batch, ratio : int
        Steps of the optimiser, whatever the number of labels; labelled items a step; unlabelled
        ones for each of them.
    learning_rate, weight_decay : float
        AdamW, along a cosine that ends where the training ends.
    weight : float, optional
        Of the loss of unlabelled items; None: 10 for Mean Teacher, 1 for the others.
    average : float
        Decay of the average of the weights that predicts; 0: the last weights.
    drop : float
        Share of the features that a strong view is without, encoded or not.
    noise : float
        Deviation of the noise that a strong view has, in deviations of the features.
    mix : float
        Largest share, at most 0.5, of another unlabelled item in a strong view (mixup); the target
        stays that of the item.
    alignment : {"auto", "none", "uniform", "labels"}
        The distribution that the predicted classes of unlabelled items are aligned with; "auto" is
        the method's own: "uniform" for SoftMatch, "none" for the others.
    class_weight : {"none", "balanced"}
        Weights of labels: "balanced" gives every class the same sum.
    logit_adjustment : float
        So many times the log of the share of each class is taken from its logit; 1 aims at balanced
        accuracy.
    prior : {"pool", "labels"}
        Whose shares: those of the labels, in the loss; or those that the model predicts for the
        pool, after the training, which a network that is sure of everything hardly notices.
    device : str
        "auto" takes a GPU when there is one.

    Notes
    -----
    Features are brought to mean 0 and deviation 1 over the pool. Only classes that have a label are
    trained. A training that diverges goes back to an earlier state and on at half the learning
    rate, four times at most; ``facts()`` of the model say so, and a warning.
    """

    weighting: ClassVar[type[Weighting]]
    kinds: ClassVar[frozenset[str]] = frozenset({"multiclass"})
    uses_views: ClassVar[bool] = True
    imports: ClassVar[tuple[str, ...]] = ("torch", "torch._dynamo")  # the latter by optimisers
    gives: ClassVar[frozenset[Need]] = frozenset(
        {Need.PROBABILITIES, Need.PREDICT, Need.HIDDEN, Need.HEAD, Need.OUT_OF_FOLD}
    )
    model: ClassVar[type[Model]] = SemiModel

    def __init__(
        self,
        *,
        width: int = 256,
        steps: int = 400,
        batch: int = 64,
        ratio: int = 7,
        learning_rate: float = 2e-3,
        weight_decay: float = 1e-2,
        weight: float | None = None,
        average: float = 0.98,
        drop: float = 0.5,
        noise: float = 0.0,
        mix: float = 0.0,
        alignment: str = "auto",
        class_weight: str = "none",
        logit_adjustment: float = 0.0,
        prior: str = "labels",
        device: str = "auto",
        **method: Any,
    ) -> None:
        name = self.name
        weight = self.weighting.weight if weight is None else weight
        check_whole(name, steps=steps, batch=batch, ratio=ratio)
        check_whole(name, 0, width=width)
        check_positive(name, learning_rate=learning_rate)
        check_share(name, drop=drop, average=average, mix=mix)
        check_not_negative(name, weight_decay=weight_decay, weight=weight, noise=noise)
        if drop > 0.99 or average >= 1.0:
            raise BadInput(f"{name}: drop={drop!r}, average={average!r}", "give at most 0.99")
        if mix > 0.5:
            raise BadInput(f"{name}: mix={mix!r}", "give at most 0.5: the item is the larger part")
        check_choice(name, ("auto", "none", "uniform", "labels"), alignment=alignment)
        self.adjustment = Adjustment.checked(name, logit_adjustment, prior, class_weight)
        check_device(name, device)
        self.width = width
        self.settings = Settings(
            steps=steps,
            batch=batch,
            ratio=ratio,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            weight=weight,
            average=average,
        )
        self.strength = Strength(drop, noise, mix)
        self.alignment = self.weighting.alignment if alignment == "auto" else alignment
        self.class_weight = class_weight
        self.device = device
        self.method = self.weighting(**method)

    def fit(
        self, training: Training, rng: np.random.Generator, previous: Model | None = None
    ) -> Model:
        """Return a model of labelled and unlabelled items; `previous` is not used."""
        started = clock.seconds()
        wrong = np.flatnonzero(~np.isfinite(training.features).all(axis=1))
        if len(wrong):
            raise BadInput(
                f"the features of item {wrong[0]} ({len(wrong)} in all) are NaN or infinite",
                "leave these items out, or mend their features",
            )
        if len(np.unique(training.labels)) < 2:
            return PriorModel(training.prior(), training.features.shape[1])
        model, report = self._train(training, rng)
        model.cost = Cost(report.examples, clock.seconds() - started)
        return model

    def _train(self, training: Training, rng: np.random.Generator) -> tuple[SemiModel, Report]:
        try:
            import torch
        except ImportError as error:
            raise missing_extra("torch", "torch", f"the learner {self.name!r}") from error
        device = choose_device(self.device, torch)
        counts = np.bincount(training.labels, minlength=training.classes)
        seen = counts > 0
        code = np.cumsum(seen) - 1  # class -> column
        labels = torch.from_numpy(code[training.labels].astype(np.int64)).to(device)
        mean, deviation = _moments(training)
        gpus = list(range(torch.cuda.device_count())) if device != "cpu" else []
        with torch_threads(torch), torch.random.fork_rng(devices=gpus):
            torch.manual_seed(int(rng.integers(2**62)))
            source = FeatureSource(training, mean, deviation, device, self.strength, rng)
            network = _network(training.features.shape[1], self.width, int(seen.sum())).to(device)
            best, report = train(
                network,
                source,
                labels,
                len(source.others),
                self.method,
                replace(self.settings, alignment=wanted_share(self.alignment, counts[seen])),
                rng,
                class_weights=class_weights(self.class_weight, counts[seen], device),
                offset=torch.from_numpy(self.adjustment.in_loss(training, np.flatnonzero(seen))),
            )
        arrays = _arrays(best, seen, mean, deviation)
        facts = {
            "kind": "multiclass",
            "layers": int(self.width > 0),
            "labels": len(training.labels),
            "used": report.used,
            "rollbacks": report.rollbacks,
            "stopped": report.stopped,
        }
        model = SemiModel(arrays, facts)
        arrays["head_bias"][seen] -= self.adjustment.afterwards(
            training,
            np.flatnonzero(seen),
            lambda positions: model.predict_proba(training.features[positions]),
        )
        return model, report


@dataclass(frozen=True)
class Strength:
    """How a strong view of features differs from the item; see :class:`SemiLearner`."""

    drop: float = 0.5
    noise: float = 0.0
    mix: float = 0.0


class FeatureSource:
    """Views of the items of a pool, standardised: encoded ones where there are, else made here."""

    def __init__(
        self,
        training: Training,
        mean: np.ndarray,
        deviation: np.ndarray,
        device: str,
        strength: Strength,
        rng: np.random.Generator,
    ) -> None:
        import torch

        self._torch = torch
        self._training = training
        self._mean, self._deviation = mean, deviation
        self._device = device
        self._strength, self._rng = strength, rng
        self.own, self.others = training.labelled, training.unlabelled
        self._labelled = self._ready(training.features[self.own])
        self._unlabelled = self._ready(training.features[self.others])

    def labelled(self, rows: np.ndarray) -> Any:
        """Return weak views of labelled items."""
        if self._training.weak is not None:
            return self._ready(self._training.weak(self.own[rows], self._rng))
        return self._labelled[self._torch.from_numpy(rows).to(self._device)]

    def weak(self, rows: np.ndarray) -> Any:
        """Return weak views of unlabelled items."""
        if self._training.weak is not None:
            return self._ready(self._training.weak(self.others[rows], self._rng))
        return self._unlabelled[self._torch.from_numpy(rows).to(self._device)]

    def strong(self, rows: np.ndarray) -> Any:
        """Return strong views of unlabelled items."""
        torch = self._torch
        if self._training.strong is not None:
            views = self._ready(self._training.strong(self.others[rows], self._rng))
        else:
            views = self._unlabelled[torch.from_numpy(rows).to(self._device)]
        if self._strength.mix:
            share = self._strength.mix * self._rng.random((len(views), 1), dtype=np.float32)
            others = torch.from_numpy(self._rng.permutation(len(views))).to(self._device)
            views = views.lerp(views[others], torch.from_numpy(share).to(self._device))
        if self._strength.noise:
            views = views + self._strength.noise * torch.randn_like(views)
        return self._dropped(views) if self._strength.drop else views

    def _dropped(self, views: Any) -> Any:
        """Return views without a share of their features, the others scaled up."""
        if self._device != "cpu":
            return self._torch.nn.functional.dropout(views, self._strength.drop)
        # Bytes are much cheaper to draw than torch's Bernoulli variables.
        least = max(1, round(256 * self._strength.drop))
        drawn = np.frombuffer(self._rng.bytes(views.numel()), dtype=np.uint8)
        kept = (drawn >= least).astype(np.float32) * np.float32(256.0 / (256.0 - least))
        return views * self._torch.from_numpy(kept.reshape(views.shape))

    def _ready(self, features: np.ndarray) -> Any:
        rows = (np.asarray(features, dtype=np.float32) - self._mean) / self._deviation
        return self._torch.from_numpy(rows).to(self._device)


def _moments(training: Training) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and deviation of each feature over the pool, float32 (d,)."""
    known = training.features if training.usable is None else training.features[training.usable]
    mean = known.mean(axis=0, dtype=np.float64)
    deviation = known.std(axis=0, dtype=np.float64)
    deviation = np.where(deviation > 1e-8, deviation, 1.0)
    return mean.astype(np.float32), deviation.astype(np.float32)


def _network(inputs: int, width: int, outputs: int) -> Any:
    from torch import nn

    if not width:
        return nn.Sequential(nn.Linear(inputs, outputs))
    return nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, outputs))


def _arrays(
    network: Any, seen: np.ndarray, mean: np.ndarray, deviation: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the weights as arrays; the rows of classes without a label are zero."""
    from torch import nn

    linears = [layer for layer in network if isinstance(layer, nn.Linear)]
    arrays: dict[str, np.ndarray] = {"mean": mean, "deviation": deviation, "seen": seen}
    for name, value in (("weights", linears[-1].weight), ("bias", linears[-1].bias)):
        part = value.detach().cpu().numpy()
        whole = np.zeros((len(seen), *part.shape[1:]), dtype=np.float32)
        whole[seen] = part
        arrays[f"head_{name}"] = whole
    for index, linear in enumerate(linears[:-1]):
        arrays[f"weights{index}"] = linear.weight.detach().cpu().numpy().copy()
        arrays[f"bias{index}"] = linear.bias.detach().cpu().numpy().copy()
    return arrays


def on_features(method: type[Weighting]) -> type[SemiLearner]:
    """Return the learner that trains on features with this method, under the method's name.

    Its parameters are those of the method and of :class:`SemiLearner`.
    """
    own = [
        p.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for p in inspect.signature(method).parameters.values()
    ]
    common = [
        p for p in inspect.signature(SemiLearner).parameters.values()
        if p.kind is inspect.Parameter.KEYWORD_ONLY
    ]  # fmt: skip
    members: Mapping[str, Any] = {
        "name": method.name,
        "summary": f"{method.summary}; small network on frozen features",
        "weighting": method,
        "__doc__": method.__doc__,
        "__module__": method.__module__,
        "__signature__": inspect.Signature([*own, *common]),
    }
    return type(f"{method.__name__}Learner", (SemiLearner,), dict(members))
