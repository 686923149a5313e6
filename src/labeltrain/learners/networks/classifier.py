"""What is trained: a body or its upper part, fixed moments of its vectors, and a linear head."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from labeltrain.errors import missing_extra
from labeltrain.learners.networks.backbone import Backbone

Adapt = Literal["full", "lora", "last"]


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
    targets = backbone.adaptable(body)
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


def trained_arrays(trained: Any) -> dict[str, np.ndarray]:
    """Return what training changed: parameters that take a gradient, and buffers of numbers."""
    free = {name for name, p in trained.named_parameters() if p.requires_grad}
    free |= {name for name, b in trained.named_buffers() if b.is_floating_point()}
    return {
        name: value.detach().cpu().numpy().copy()
        for name, value in trained.state_dict().items()
        if name in free
    }


def load_trained(trained: Any, arrays: dict[str, np.ndarray]) -> None:
    """Put what :func:`trained_arrays` returned back into a network of the same shape."""
    import torch

    state = {name: torch.from_numpy(value.copy()) for name, value in arrays.items()}
    trained.load_state_dict(state, strict=False)
