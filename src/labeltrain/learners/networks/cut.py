"""Cutting models of the Hugging Face libraries between two layers, whatever their family."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labeltrain.errors import BadInput
from labeltrain.learners.networks.backbone import refuse_layers

EMBEDDINGS = ("embeddings", "embedder", "patch_embed")


class _Reached(Exception):
    """Carries the input of a layer out of the model's own forward pass."""

    def __init__(self, states: Any) -> None:
        super().__init__("reached")
        self.states = states


def layers_of(model: Any, name: str) -> str:
    """Return the name of the list of layers inside a model: its longest list of equal modules.

    Raises
    ------
    BadInput
        There is none.
    """
    from torch import nn

    lists = [
        (len(module), path)
        for path, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and len({type(part) for part in module}) == 1
    ]
    if not lists:
        raise BadInput(f"{name!r} has no list of layers to be cut at", "use adapt=full")
    return max(lists, key=lambda found: (found[0], -len(found[1])))[1]


def linear_names(body: Any, layers: str) -> list[str]:
    """Return the names, in `body`, of the linear maps inside the list of layers."""
    from torch import nn

    return [
        path
        for path, module in body.named_modules()
        if isinstance(module, nn.Linear) and f".{layers}." in f".{path}."
    ]


def cut(model: Any, name: str, layers: int, finish: Callable[[Any, Any], Any]) -> tuple[Any, Any]:
    """Return a model below its last `layers` layers, and from there on.

    The lower part runs the model until the cut and gives ``{"states": ..., **mask}``. The upper
    part is the model itself, whose embeddings hand over these states and whose layers are the last
    ones, so that whatever a family does around its layers is done.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        Is used up.
    name : str
        For errors.
    layers : int
    finish : callable
        From the output of the model and the batch to vectors (k, d).

    Raises
    ------
    BadInput
        A model with another structure, or not so many layers.
    """
    import copy

    import torch
    from torch import nn

    where = layers_of(model, name)
    every = model.get_submodule(where)
    refuse_layers(layers, len(every))
    entrance = next((part for part in EMBEDDINGS if hasattr(model, part)), "")
    if not entrance:
        raise BadInput(f"{name!r} cannot be cut: its embeddings are not found", "use adapt=full")

    class Below(nn.Module):  # type: ignore[misc]
        """The model up to the cut."""

        def __init__(self) -> None:
            super().__init__()
            self.model = copy.deepcopy(model)
            first = self.model.get_submodule(where)[len(every) - layers]
            first.register_forward_pre_hook(self._reached, with_kwargs=True)

        @staticmethod
        def _reached(module: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
            raise _Reached(given[0] if given else named["hidden_states"])

        def forward(self, batch: Any) -> dict[str, Any]:
            try:
                self.model(**batch)
            except _Reached as reached:
                rest = {k: v for k, v in batch.items() if k == "attention_mask"}
                return {"states": reached.states, **rest}
            raise BadInput(f"{name!r} cannot be cut: its layers are not run", "use adapt=full")

    class Given(nn.Module):  # type: ignore[misc]
        """Stands for the embeddings: hands over the states of the lower part."""

        states: Any = None

        def forward(self, *args: Any, **kwargs: Any) -> Any:
            return self.states

    class Above(nn.Module):  # type: ignore[misc]
        """The model from the cut on."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model
            parent, _, last = where.rpartition(".")
            setattr(model.get_submodule(parent), last, nn.ModuleList(list(every)[-layers:]))
            setattr(model, entrance, Given())

        def forward(self, batch: Any) -> Any:
            states = batch["states"]
            getattr(self.model, entrance).states = states
            if "attention_mask" in batch:
                ids = torch.zeros(states.shape[:2], dtype=torch.long, device=states.device)
                made = self.model(input_ids=ids, attention_mask=batch["attention_mask"])
            else:
                made = self.model(pixel_values=states)
            getattr(self.model, entrance).states = None
            return finish(made, batch)

    below = Below().eval().requires_grad_(False)
    return below, Above()
