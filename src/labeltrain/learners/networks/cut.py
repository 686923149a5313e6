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


def cut(
    body: Any, name: str, layers: int, finish: Callable[[Any, Any], Any], sample: Any
) -> tuple[Any, Any]:
    """Return a body below its last `layers` layers, and from there on.

    The lower part runs the model until the cut and gives ``{"states": ..., **mask}``. The upper
    part is the model itself, whose embeddings hand over these states and whose layers are the last
    ones, so that whatever a family does around its layers is done. Both together are compared with
    the whole, since some families do more than that.

    Parameters
    ----------
    body : torch.nn.Module
        With ``model``, a transformers.PreTrainedModel; is used up.
    name : str
        For errors.
    layers : int
    finish : callable
        From the output of the model and the batch to vectors (k, d).
    sample : mapping of str to tensor
        A batch to compare on.

    Raises
    ------
    BadInput
        A model with another structure, or not so many layers.
    """
    import torch

    model = body.model
    where = layers_of(model, name)
    refuse_layers(layers, len(model.get_submodule(where)))
    entrance = next((part for part in EMBEDDINGS if hasattr(model, part)), "")
    if not entrance:
        raise BadInput(f"{name!r} cannot be cut: its embeddings are not found", "use adapt=full")
    with torch.no_grad():
        wanted = body.eval()(sample)
        try:
            below = _below(model, name, where, layers)
            above = _above(model, where, layers, entrance, finish).eval()
            found = above(below(sample))
            same = found.shape == wanted.shape and torch.allclose(found, wanted, atol=1e-4)
        except (AttributeError, TypeError, ValueError, KeyError, IndexError, RuntimeError):
            same = False  # of some family, which cannot be known beforehand
    if not same:
        raise BadInput(
            f"{name!r} cannot be cut: it does more than run its layers one after the other",
            "use adapt=full or adapt=lora",
        )
    return below, above


def _below(model: Any, name: str, where: str, layers: int) -> Any:
    """Return a copy of the model that stops before its last layers."""
    import copy

    from torch import nn

    class Below(nn.Module):  # type: ignore[misc]
        """The model up to the cut."""

        def __init__(self) -> None:
            super().__init__()
            self.model = copy.deepcopy(model)
            every = self.model.get_submodule(where)
            first = every[len(every) - layers]
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

    return Below().eval().requires_grad_(False)


def _above(
    model: Any, where: str, layers: int, entrance: str, finish: Callable[[Any, Any], Any]
) -> Any:
    """Return the model, used up, with only its last layers."""
    import torch
    from torch import nn

    class Given(nn.Module):  # type: ignore[misc]
        """Stands for the embeddings: hands over the states of the lower part."""

        states: Any = None

        def __init__(self, whole: Any) -> None:
            super().__init__()
            # Some models ask their embeddings for a type or a size. Inside a function they are
            # neither copied nor trained.
            self.__dict__["whole"] = lambda: whole

        def __getattr__(self, name: str) -> Any:
            return getattr(self.__dict__["whole"](), name)

        def forward(self, *args: Any, **kwargs: Any) -> Any:
            return self.states

    class Above(nn.Module):  # type: ignore[misc]
        """The model from the cut on."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model
            parent, _, last = where.rpartition(".")
            every = list(model.get_submodule(where))
            setattr(model.get_submodule(parent), last, nn.ModuleList(every[-layers:]))
            setattr(model, entrance, Given(getattr(model, entrance)))

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

    return Above()
