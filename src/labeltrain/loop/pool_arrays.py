"""What a pool consists of when people bring their own arrays: read, checked, fitted together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from labeltrain.errors import BadInput, MissingNeed
from labeltrain.loop import inputs
from labeltrain.loop.as_numpy import as_numpy
from labeltrain.strategies.base import Need, Strategy

KINDS = ("multiclass", "multilabel", "none")
ARRAYS = {
    Need.EMBEDDINGS: "embeddings: features of every item, (n, d)",
    Need.HIDDEN: "hidden: the last hidden layer (n, h), or embeddings (n, d)",
    Need.PROBABILITIES: "probabilities: predicted classes of every item, (n, C)",
    Need.COMMITTEE: "committee: probabilities of several models, (S, n, C)",
    Need.PREDICT: "predict: a function from features (k, d) to probabilities (k, C)",
    Need.HEAD: "head: weights (C, h) and bias (C,) of the last layer",
    Need.POSTERIOR: "posterior: vectors (n, r) whose inner products are posterior covariances",
    Need.OUT_OF_FOLD: "out_of_fold: probabilities (m, C) of the labelled items, each by a model "
    "that did not see its label (sklearn.model_selection.cross_val_predict)",
    Need.PRIOR: "prior: zero-shot probabilities, (n, C)",
    Need.GROUPS: "groups: the group of every item, (n,)",
    Need.COSTS: "costs: what labelling each item costs, (n,)",
    Need.TARGETS: "targets: features of what the model is meant for, (t, d)",
    Need.SCORES: "scores: named arrays, {name: (n,)}",
}


def read_arrays(arrays: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Return the checked sources of a view from arrays of any library; None is left out.

    Raises
    ------
    BadInput
        An array that is not what its name says.
    """
    sources: dict[str, Any] = {}
    for name, value in arrays.items():
        if value is None:
            continue
        if name in ("probabilities", "prior", "out_of_fold"):
            sources[name] = inputs.probabilities(name, value, kind)
        elif name == "committee":
            sources[name] = inputs.committee(value, kind)
        elif name == "groups":
            sources[name] = inputs.column(name, value)
        elif name == "costs":
            sources[name] = inputs.numbers(name, value)
            if (sources[name] < 0).any():
                raise BadInput("costs has negative entries", "costs are 0 or more")
        elif name == "scores":
            sources[name] = inputs.named_scores(value)
        elif name == "head":
            sources[name] = _head(value)
        elif name == "predict":
            if not callable(value):
                raise BadInput("predict is no function", "give features -> probabilities")
            sources[name] = _checked_predictions(value, kind)
        else:
            sources[name] = inputs.matrix(name, value)
    if "committee" in sources and "probabilities" not in sources:
        members = sources["committee"]
        sources["probabilities"] = members.mean(axis=0, dtype=np.float64)
    _refuse_other_head(sources)
    if {"embeddings", "targets"} <= sources.keys():
        here, there = sources["embeddings"].shape[1], sources["targets"].shape[1]
        if here != there:
            raise BadInput(f"embeddings have {here} columns, targets {there}", "encode them alike")
    return sources


def _checked_predictions(predict: Callable[[Any], Any], kind: str) -> Callable[[Any], np.ndarray]:
    """Return the function with its answers checked: what it returns is trusted nowhere else."""

    def checked(features: np.ndarray) -> np.ndarray:
        found = inputs.probabilities("what predict returned", predict(features), kind)
        if len(found) != len(features):
            raise BadInput(
                f"predict returned {len(found)} rows for {len(features)}", "one row for each"
            )
        return found

    return checked


def refuse_missing(
    strategy: Strategy, given: Iterable[str], kind: str, remedy: str = "give "
) -> None:
    """Raise when a strategy reads what is not given, or does not work on this kind of data.

    Raises
    ------
    MissingNeed
        Names what is missing, and its shape.
    """
    if not strategy.works_on(kind):
        raise MissingNeed(
            f"strategy {strategy.name!r} does not work on {_said(kind)}",
            f"it works on {', '.join(sorted(strategy.kinds))}",
        )
    offered = set(given)
    if Need.EMBEDDINGS in offered:
        offered.add(Need.HIDDEN)  # a view without a hidden layer gives its embeddings
    missing = sorted(set(strategy.needs) - offered)
    if missing:
        raise MissingNeed(
            f"strategy {strategy.name!r} needs {', '.join(missing)}",
            remedy + "; ".join(ARRAYS[need] for need in missing),
        )


def _said(kind: str) -> str:
    return "a pool without classes" if kind == "none" else f"{kind} data"


def pool_size(sources: Mapping[str, Any], ids: list[Any] | None, masks: Mapping[str, Any]) -> int:
    """Return the number of items that all arrays agree on.

    Parameters
    ----------
    sources : dict
        See :func:`read_arrays`.
    ids : list or None
    masks : dict
        May be masks; they tell the size only where nothing else does.

    Raises
    ------
    BadInput
        Arrays that disagree, ids that are not unique, or nothing that tells the size.
    """
    sizes = {
        name: len(sources[name])
        for name in (
            "embeddings",
            "probabilities",
            "hidden",
            "posterior",
            "prior",
            "groups",
            "costs",
        )
        if name in sources
    }
    if "committee" in sources:
        sizes["committee"] = sources["committee"].shape[1]
    for name, values in sources.get("scores", {}).items():
        sizes[f"scores[{name!r}]"] = len(values)
    if ids is not None:
        sizes["ids"] = len(ids)
        if len(set(ids)) != len(ids):
            raise BadInput("ids are not unique", "give every item its own id")
    for name, mask in masks.items():
        if not sizes and mask is not None and (array := as_numpy(name, mask)).dtype == bool:
            sizes[name] = len(array)
    if not sizes:
        raise BadInput("the size of the pool is unknown", "give embeddings, probabilities or ids")
    if len(set(sizes.values())) > 1:
        raise BadInput(f"arrays disagree on the size of the pool: {sizes}", "one row per item")
    return next(iter(sizes.values()))


def class_columns(sources: Mapping[str, Any]) -> int | None:
    """Return the number of classes that the arrays have columns for."""
    names = ("probabilities", "committee", "prior", "out_of_fold")
    widths = {name: sources[name].shape[-1] for name in names if name in sources}
    if "head" in sources:
        widths["head"] = len(sources["head"][0])
    if len(set(widths.values())) > 1:
        raise BadInput(f"arrays disagree on the number of classes: {widths}", "align the columns")
    return next(iter(widths.values()), None)


def refuse_other_columns(arrays: Mapping[str, Any], classes: Any) -> None:
    """Raise when a data frame of probabilities names other classes than `classes` do.

    Raises
    ------
    BadInput
        The same names in another order.
    """
    if classes is None or isinstance(classes, int | np.integer):
        return
    wanted = [str(name) for name in inputs.column("classes", classes).tolist()]
    for name in ("probabilities", "prior", "out_of_fold"):
        columns = [str(title) for title in getattr(arrays.get(name), "columns", ())]
        if columns != wanted and sorted(columns) == sorted(wanted):
            raise BadInput(
                f"the columns of {name} are {columns[:8]}, classes {wanted[:8]}",
                f"give classes=list({name}.columns)",
            )


def widen_head(sources: dict[str, Any], classes: Any, labels: Any) -> None:
    """Make two rows of a head of one row where there are two classes, as scikit-learn means it."""
    if "head" not in sources or len(sources["head"][0]) != 1:
        return
    count = class_columns({name: found for name, found in sources.items() if name != "head"})
    if count is None and classes is not None:
        count = int(classes) if isinstance(classes, int | np.integer) else len(classes)
    if count is None and labels is not None:
        count = len(np.unique(as_numpy("labels", labels)))
    if count == 2:
        sources["head"] = both_rows(*sources["head"])


def both_rows(weights: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a sigmoid head (1, h), (1,) as (2, h), (2,): of z, it is the softmax of -z/2, z/2."""
    return np.concatenate([-weights / 2, weights / 2]), np.concatenate([-bias / 2, bias / 2])


def _refuse_other_head(sources: Mapping[str, Any]) -> None:
    name = "hidden" if "hidden" in sources else "embeddings"
    if "head" not in sources or name not in sources:
        return
    weights, width = sources["head"][0], sources[name].shape[1]
    if weights.shape[1] != width:
        raise BadInput(
            f"head has weights of shape {weights.shape}, {name} has {width} columns",
            "give weights (C, h) for the hidden (n, h) that they are applied to",
        )


def _head(value: Any) -> tuple[np.ndarray, np.ndarray]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise BadInput("head is no pair", "give (weights (C, h), bias (C,))")
    weights, bias = inputs.matrix("head weights", value[0]), inputs.numbers("head bias", value[1])
    if len(weights) != len(bias):
        raise BadInput(
            f"head has weights of shape {weights.shape} and bias of shape {bias.shape}",
            "give (C, h) and (C,), as coef_ and intercept_ of a scikit-learn classifier",
        )
    return weights, bias
