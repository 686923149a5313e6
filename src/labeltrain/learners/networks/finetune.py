"""Fine-tuning of pretrained models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from labeltrain.errors import BadInput
from labeltrain.learners.checks import check_whole
from labeltrain.learners.networks.backbone import Backbone
from labeltrain.learners.networks.learner import NetworkLearner
from labeltrain.learners.networks.options import Options


class FineTune(NetworkLearner):
    """A pretrained model, trained further on the labelled items, with unlabelled ones if wanted.

    Parameters
    ----------
    model : str
        "auto": MiniLM for texts, EfficientNet-Lite0 for images; else ``hf:NAME`` or the folder of
        a Hugging Face model for texts or images.
    adapt : {"full", "lora", "last"}
        What is trained: everything; low-rank matrices of rank `rank` beside each linear map (LoRA);
        the last `layers` layers, on activations below them that are made once for all rounds.
    head : {"probe", "names", "zeros"}
        How the head begins: with the logistic regression of the labelled vectors
        (linear-probe-then-fine-tune); with the vectors of the names of the classes; with zeros.
    method : str
        "none": from labels only; or a semi-supervised method: pseudo-label, fixmatch, flexmatch,
        freematch, softmatch, uda, mean-teacher; noisy-student learns the soft labels that a learner
        on the frozen features gives the pool. Its own parameters go into `method_options`.
    layers, rank : int
    method_options : dict
    max_length : int
        Texts are cut after so many tokens; the time of a step grows with it.
    size : int
        Side of images in pixels, for EfficientNet-Lite0.
    steps, batch, ratio : int
        Steps of the optimiser, whatever the number of labels; labelled items a step; unlabelled
        ones for each of them.
    learning_rate, head_rate, weight_decay, warmup : float
        AdamW; the head's rate is ``head_rate * learning_rate``; the rate rises over the share
        `warmup` of the steps and falls along a cosine that ends where the training ends.
    stop : {"steps", "stable"}
        "stable": the rate begins to fall once predictions of unlabelled items hardly change, and
        the training ends a quarter later; `steps` is then the most. No label is used for it.
    weight : float, optional
        Of the loss of unlabelled items; None: the method's own.
    average : float
        Decay of the average of the weights that predicts; 0: the last weights.
    alignment : {"auto", "none", "uniform", "labels"}
    class_weight : {"none", "balanced"}
    logit_adjustment, prior
        As of the semi-supervised learners on features.
    copies, sample : int
        For ``adapt=last`` with a method: strong views kept of an item; unlabelled items at most.
    dtype : {"auto", "float32", "bfloat16"}
        "auto": bfloat16 where the hardware multiplies such matrices, else float32.
    dropout : float, optional
        Share of activations that the model drops in training; None: its own. 0 is a quarter faster
        on processors and was no worse (docs/learners.md).
    memory : float
        GiB for the activations of one sequence of items.
    device : str
        "auto" takes a GPU when there is one.

    Notes
    -----
    The vectors of the model are brought to mean 0 and deviation 1 (over the labelled items and up
    to 512 others) before the head. Only classes that have a label are trained. The model that is
    stored is what was trained: 91 MB for all of MiniLM, 15 MB for its last two layers, 1.3 MB for
    LoRA.

    References
    ----------
    Kumar, Raghunathan, Jones, Ma, Liang: Fine-Tuning can Distort Pretrained Features and
    Underperform Out-of-Distribution, ICLR 2022. Hu et al.: LoRA, ICLR 2022.

    Examples
    --------
    >>> from labeltrain.learners import make
    >>> make("finetune", {"adapt": "last", "layers": 2, "method": "flexmatch"}).name
    'finetune'
    """

    name: ClassVar[str] = "finetune"
    summary: ClassVar[str] = "a pretrained model trained further: all of it, LoRA, or last layers"
    modalities: ClassVar[frozenset[str]] = frozenset({"text", "image"})

    def __init__(
        self,
        model: str = "auto",
        adapt: str = "full",
        head: str = "probe",
        method: str = "none",
        *,
        layers: int = 2,
        rank: int = 8,
        method_options: Mapping[str, Any] | None = None,
        max_length: int = 128,
        size: int = 128,
        steps: int = 300,
        batch: int = 16,
        ratio: int = 3,
        learning_rate: float = 1e-4,
        head_rate: float = 10.0,
        weight_decay: float = 1e-2,
        warmup: float = 0.1,
        stop: str = "steps",
        weight: float | None = None,
        average: float = 0.98,
        alignment: str = "auto",
        class_weight: str = "none",
        logit_adjustment: float = 0.0,
        prior: str = "labels",
        copies: int = 2,
        sample: int = 4096,
        dtype: str = "auto",
        dropout: float | None = 0.0,
        memory: float = 4.0,
        device: str = "auto",
    ) -> None:
        if not isinstance(model, str) or not model:
            raise BadInput(f"finetune: model={model!r} is no name", "such as auto or hf:NAME")
        check_whole(self.name, 3, max_length=max_length)
        check_whole(self.name, 32, size=size)
        if size % 32:
            raise BadInput(f"finetune: size={size}", "use a multiple of 32, such as 128")
        own = {} if method_options is None else method_options
        super().__init__(
            Options(
                self.name, adapt, layers, rank, head, method, own, steps, batch, ratio,
                learning_rate, head_rate, weight_decay, warmup, stop, weight, average, alignment,
                class_weight, logit_adjustment, prior, copies, sample, dtype, dropout, memory,
                device,
            )
        )  # fmt: skip
        self._model_name, self._max_length, self._size = model, max_length, size

    def backbone(self, modality: str) -> Backbone:
        """Return the pretrained model."""
        from labeltrain.learners.networks.backbones import pretrained

        return pretrained(
            self._model_name,
            modality,
            max_length=self._max_length,
            size=self._size,
            device=self.options.device,
        )
