"""Networks from scratch: what a pretrained model is measured against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from labeltrain.errors import BadInput
from labeltrain.learners.checks import check_whole
from labeltrain.learners.networks.backbone import Backbone
from labeltrain.learners.networks.cnn import GROUPS, CNNBackbone
from labeltrain.learners.networks.learner import NetworkLearner
from labeltrain.learners.networks.options import Options
from labeltrain.learners.networks.transformer import HEADS, TransformerBackbone


class SmallCNN(NetworkLearner):
    """A small residual network on images, from random weights.

    Parameters
    ----------
    width : int
        Channels of the first convolution, a multiple of 8.
    size : int
        Side of the square that images are scaled to.
    method, method_options, steps, batch, ratio, learning_rate, weight_decay, weight, average
        As of :class:`~labeltrain.learners.networks.finetune.FineTune`.
    alignment, class_weight, logit_adjustment, prior, stop, dtype, device
        Likewise.

    Notes
    -----
    Labelled images are shifted at random at every step; with a method, unlabelled ones get
    RandAugment and Cutout. Group normalisation needs no batch statistics. The learning rate rises
    over the first tenth of the steps.
    """

    name: ClassVar[str] = "cnn"
    summary: ClassVar[str] = "small residual network on images, from scratch"
    modalities: ClassVar[frozenset[str]] = frozenset({"image"})

    def __init__(
        self,
        width: int = 16,
        size: int = 32,
        *,
        method: str = "none",
        method_options: Mapping[str, Any] | None = None,
        steps: int = 400,
        batch: int = 64,
        ratio: int = 3,
        learning_rate: float = 3e-3,
        weight_decay: float = 1e-2,
        weight: float | None = None,
        average: float = 0.98,
        alignment: str = "auto",
        class_weight: str = "none",
        logit_adjustment: float = 0.0,
        prior: str = "labels",
        stop: str = "steps",
        dtype: str = "auto",
        device: str = "auto",
    ) -> None:
        check_whole(self.name, 8, width=width, size=size)
        if width % GROUPS:
            raise BadInput(f"cnn: width={width}", f"give a multiple of {GROUPS}")
        super().__init__(
            Options(
                self.name,
                head="zeros",
                method=method,
                method_options={} if method_options is None else method_options,
                steps=steps,
                batch=batch,
                ratio=ratio,
                learning_rate=learning_rate,
                head_rate=1.0,
                weight_decay=weight_decay,
                weight=weight,
                average=average,
                alignment=alignment,
                class_weight=class_weight,
                logit_adjustment=logit_adjustment,
                prior=prior,
                stop=stop,
                dtype=dtype,
                device=device,
                pretrained=False,
            )
        )
        self._width, self._size = width, size

    def backbone(self, modality: str) -> Backbone:
        """Return the network."""
        return CNNBackbone(self._size, self._width)


class SmallTransformer(NetworkLearner):
    """A small transformer on texts, from random weights; its vocabulary comes from the pool.

    Parameters
    ----------
    width : int
        Of the vectors, a multiple of 4.
    layers : int
    vocabulary : int
        Words at most, the most frequent of the pool.
    max_length : int
        Words read of a text.
    method, method_options, steps, batch, ratio, learning_rate, weight_decay, weight, average
        As of :class:`~labeltrain.learners.networks.finetune.FineTune`.
    alignment, class_weight, logit_adjustment, prior, stop, dtype, device
        Likewise.

    Notes
    -----
    The learning rate rises over the first tenth of the steps.
    """

    name: ClassVar[str] = "transformer"
    summary: ClassVar[str] = "small transformer on texts, from scratch"
    modalities: ClassVar[frozenset[str]] = frozenset({"text"})

    def __init__(
        self,
        width: int = 128,
        layers: int = 2,
        vocabulary: int = 20000,
        max_length: int = 128,
        *,
        method: str = "none",
        method_options: Mapping[str, Any] | None = None,
        steps: int = 300,
        batch: int = 32,
        ratio: int = 3,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-2,
        weight: float | None = None,
        average: float = 0.98,
        alignment: str = "auto",
        class_weight: str = "none",
        logit_adjustment: float = 0.0,
        prior: str = "labels",
        stop: str = "steps",
        dtype: str = "auto",
        device: str = "auto",
    ) -> None:
        check_whole(self.name, layers=layers, vocabulary=vocabulary, max_length=max_length)
        check_whole(self.name, HEADS, width=width)
        if width % HEADS:
            raise BadInput(f"transformer: width={width}", f"give a multiple of {HEADS}")
        super().__init__(
            Options(
                self.name,
                head="zeros",
                method=method,
                method_options={} if method_options is None else method_options,
                steps=steps,
                batch=batch,
                ratio=ratio,
                learning_rate=learning_rate,
                head_rate=1.0,
                weight_decay=weight_decay,
                weight=weight,
                average=average,
                alignment=alignment,
                class_weight=class_weight,
                logit_adjustment=logit_adjustment,
                prior=prior,
                stop=stop,
                dtype=dtype,
                device=device,
                pretrained=False,
            )
        )
        self._sizes = (max_length, width, layers, vocabulary)

    def backbone(self, modality: str) -> Backbone:
        """Return the network, still without a vocabulary."""
        return TransformerBackbone(*self._sizes)
