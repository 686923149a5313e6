"""What is trained: a body or its upper part, fixed moments of its vectors, and a linear head."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from labeltrain.errors import BadInput, StoreDamaged, missing_extra
from labeltrain.learners.networks.backbone import Backbone


def adapted(backbone: Backbone, adapt: str, layers: int, rank: int) -> tuple[Any, Any]:
    """Return the frozen lower part, or None, and the part that is trained.

    Parameters
    ----------
    backbone : Backbone
    adapt : {"full", "lora", "last"}
    layers : int
        For "last": the layers that are trained.
    rank : int
        For "lora": of the matrices that are added to each linear map.

    Returns
    -------
    below : torch.nn.Module or None
    trained : torch.nn.Module
        Parameters that are trained take a gradient, the others do not.
    """
    body = backbone.body()
    if adapt == "last":
        below, above = backbone.split(body, layers)
        return below, above.requires_grad_(True)
    if adapt == "lora":
        return None, _with_adapters(backbone, body, rank)
    return None, body.requires_grad_(True)


def _with_adapters(backbone: Backbone, body: Any, rank: int) -> Any:
    try:
        import peft
    except ImportError as error:
        raise missing_extra("peft", "hf", "adapt=lora") from error
    names = backbone.adaptable(body)
    if not names:
        raise BadInput(
            "adapt=lora: the model has no linear maps inside its layers", "use adapt=full"
        )
    # As a list, names would also match the ends of other names.
    targets = "|".join(map(re.escape, names))
    config = peft.LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules=targets)
    body.requires_grad_(False)
    return peft.inject_adapter_in_model(config, body)


def set_dropout(network: Any, share: float) -> None:
    """Let every dropout layer of a network, and its attention, drop this share."""
    from torch import nn

    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = share
        for name in ("attention_dropout", "dropout_prob"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, share)


def classifier(trained: Any, mean: np.ndarray, deviation: np.ndarray, classes: int) -> Any:
    """Return the network from inputs to logits: ``head((trained(x) - mean) / deviation)``.

    Its head begins with zeros.
    """
    import torch
    from torch import nn

    class Classifier(nn.Module):  # type: ignore[misc]
        """Vectors of the body, standardised, and a linear head."""

        def __init__(self) -> None:
            super().__init__()
            self.trained = trained
            self.register_buffer("mean", torch.from_numpy(mean))
            self.register_buffer("deviation", torch.from_numpy(deviation))
            self.head = nn.Linear(len(mean), classes)
            nn.init.zeros_(self.head.weight)
            nn.init.zeros_(self.head.bias)

        def vectors(self, batch: Any) -> Any:
            """Return the standardised vectors (k, d)."""
            return (self.trained(batch).float() - self.mean) / self.deviation

        def forward(self, batch: Any) -> Any:
            return self.head(self.vectors(batch))

    return Classifier()


def trained_names(trained: Any) -> set[str]:
    """Return what training changes: parameters that take a gradient, and buffers of numbers."""
    free = {name for name, p in trained.named_parameters() if p.requires_grad}
    return free | {name for name, b in trained.named_buffers() if b.is_floating_point()}


def trained_arrays(trained: Any, names: set[str]) -> dict[str, np.ndarray]:
    """Return these parts of a network; the averaged network itself takes no gradients."""
    state = trained.state_dict()
    return {name: state[name].detach().cpu().numpy().copy() for name in sorted(names & set(state))}


def load_trained(trained: Any, arrays: dict[str, np.ndarray]) -> None:
    """Put what :func:`trained_arrays` returned back into a network of the same shape.

    Raises
    ------
    StoreDamaged
        Other parts than the network has.
    """
    import torch

    wrong = sorted(set(arrays) ^ trained_names(trained))
    if wrong:
        raise StoreDamaged(
            f"a stored network and its backbone differ in {len(wrong)} parts, such as {wrong[0]}",
            "train it again, or install the versions it was trained with",
        )
    state = {name: torch.from_numpy(value.copy()) for name, value in arrays.items()}
    trained.load_state_dict(state, strict=False)
