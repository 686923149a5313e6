"""The options of an end-to-end training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from labeltrain.errors import BadInput, refuse_unknown_parameters, unknown_name
from labeltrain.learners.balance import Adjustment, class_weights, wanted_share
from labeltrain.learners.checks import (
    check_choice,
    check_device,
    check_not_negative,
    check_positive,
    check_share,
    check_whole,
)
from labeltrain.learners.networks.noisy_student import NoisyStudent
from labeltrain.learners.semi.methods import METHODS
from labeltrain.learners.semi.weighting import Weighting


@dataclass(frozen=True)
class Options:
    """How a network is trained end to end.

    Attributes
    ----------
    owner : str
        The learner, for errors.
    adapt : {"full", "lora", "last"}
        What is trained: everything; low-rank matrices beside each linear map; the last layers, on
        activations below them that are made once.
    layers, rank : int
        For "last" and "lora".
    head : {"probe", "names", "zeros"}
        How the head begins: logistic regression of the labelled vectors, then fine-tuning; the
        vectors of the names of the classes; zeros.
    method : str
        "none": from labels only; or a semi-supervised method.
    method_options : dict
        Parameters of the method.
    steps, batch, ratio : int
        As of the semi-supervised learners on features.
    learning_rate, head_rate, weight_decay, warmup : float
        AdamW; the head's rate is ``head_rate * learning_rate``; the rate rises over the share
        ``warmup`` of the steps, then falls along a cosine.
    stop : {"steps", "stable"}
        "stable": the rate begins to fall once predictions of unlabelled items hardly change, and
        the training ends a quarter later; ``steps`` is then the most. No label is used.
    weight : float, optional
        Of the loss of unlabelled items; None: the method's own.
    dropout : float, optional
        Share of activations that a pretrained model drops in training; None: its own.
    average : float
        Decay of the average of the weights that predicts; 0: the last weights.
    alignment, class_weight, logit_adjustment, prior
        As of the semi-supervised learners on features.
    copies, sample : int
        For "last" with a method: strong views kept of an item, and unlabelled items at most.
    dtype : {"auto", "float32", "bfloat16"}
        Of the passes through the network; "auto": bfloat16 where the hardware multiplies such
        matrices (GPUs; processors with AMX), where it is faster.
    memory : float
        GiB for activations of one sequence of items.
    device : str
    pretrained : bool
        Methods that use pretrained features are allowed.
    """

    owner: str
    adapt: str = "full"
    layers: int = 2
    rank: int = 8
    head: str = "probe"
    method: str = "none"
    method_options: Mapping[str, Any] = field(default_factory=dict)
    steps: int = 300
    batch: int = 16
    ratio: int = 3
    learning_rate: float = 1e-4
    head_rate: float = 10.0
    weight_decay: float = 1e-2
    warmup: float = 0.1
    stop: str = "steps"
    weight: float | None = None
    average: float = 0.98
    alignment: str = "auto"
    class_weight: str = "none"
    logit_adjustment: float = 0.0
    prior: str = "labels"
    copies: int = 2
    sample: int = 4096
    dtype: str = "auto"
    dropout: float | None = 0.0
    memory: float = 4.0
    device: str = "auto"
    pretrained: bool = True

    def __post_init__(self) -> None:
        owner = self.owner
        check_choice(owner, ("full", "lora", "last"), adapt=self.adapt)
        check_choice(owner, ("probe", "names", "zeros"), head=self.head)
        check_choice(owner, ("steps", "stable"), stop=self.stop)
        check_choice(owner, ("auto", "none", "uniform", "labels"), alignment=self.alignment)
        Adjustment.checked(owner, self.logit_adjustment, self.prior, self.class_weight)
        check_choice(owner, ("auto", "float32", "bfloat16"), dtype=self.dtype)
        check_whole(owner, layers=self.layers, rank=self.rank, steps=self.steps, batch=self.batch,
                    ratio=self.ratio, copies=self.copies, sample=self.sample)  # fmt: skip
        check_positive(owner, learning_rate=self.learning_rate, memory=self.memory)
        check_not_negative(owner, head_rate=self.head_rate, weight_decay=self.weight_decay)
        check_share(owner, warmup=self.warmup, average=self.average)
        if self.average >= 1.0:
            raise BadInput(f"{owner}: average={self.average!r}", "give a number below 1")
        if self.dropout is not None:
            check_share(owner, dropout=self.dropout)
        if self.weight is not None:
            check_not_negative(owner, weight=self.weight)
        check_device(owner, self.device)
        if not isinstance(self.method, str) or self.method not in ("none", *self.methods):
            raise unknown_name("method", str(self.method), ["none", *self.methods])
        if not isinstance(self.method_options, Mapping):
            raise BadInput(
                f"{owner}: method_options={self.method_options!r} is no mapping",
                "such as {threshold: 0.9}",
            )
        self.weighting()  # refuses its options

    @property
    def methods(self) -> dict[str, type[Weighting]]:
        """The methods by name; a teacher on pretrained features would not be from scratch."""
        return {**METHODS, NoisyStudent.name: NoisyStudent} if self.pretrained else METHODS

    @property
    def learns_unlabelled(self) -> bool:
        """Whether unlabelled items are used."""
        return self.method != "none"

    def weighting(self) -> Weighting | None:
        """Return the semi-supervised method; None: labels only."""
        if self.method == "none":
            if self.method_options:
                raise BadInput(
                    f"{self.owner}: method_options without a method", "name one, method=flexmatch"
                )
            for key, idle in (("alignment", self.alignment in ("auto", "none")),
                              ("weight", self.weight is None)):  # fmt: skip
                if not idle:
                    raise BadInput(
                        f"{self.owner}: {key}={getattr(self, key)!r} is of unlabelled items, and "
                        "there is no method that uses them",
                        "name one, method=flexmatch",
                    )
            return None
        import inspect

        chosen = self.methods[self.method]
        known = list(inspect.signature(chosen).parameters)
        refuse_unknown_parameters(f"method {self.method!r}", dict(self.method_options), known)
        return chosen(**self.method_options)

    def unlabelled_weight(self) -> float:
        """Return the weight of the loss of unlabelled items."""
        if self.method == "none":
            return 0.0
        return self.methods[self.method].weight if self.weight is None else self.weight

    def wanted(self, counts: np.ndarray) -> np.ndarray | None:
        """Return the distribution of classes that predictions are aligned with; None: none."""
        chosen = self.alignment
        if chosen == "auto":
            chosen = "none" if self.method == "none" else self.methods[self.method].alignment
        return wanted_share(chosen, counts)

    def class_weights(self, counts: np.ndarray, device: str) -> Any:
        """Return the weight of each class in the supervised loss; None: 1."""
        return class_weights(self.class_weight, counts, device)

    @property
    def adjustment(self) -> Adjustment:
        """What is done to the logits for rare classes."""
        return Adjustment(float(self.logit_adjustment), self.prior)

    def mixed(self, torch: Any, device: str) -> bool:
        """Tell whether passes run in bfloat16."""
        if self.dtype != "auto":
            return self.dtype == "bfloat16"
        if device != "cpu":
            return bool(torch.cuda.is_bf16_supported())
        amx = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
        return bool(amx())
