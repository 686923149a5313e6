"""What is done about classes of unequal size, by all learners alike."""

from __future__ import annotations

from typing import Any

import numpy as np

from labeltrain.errors import BadInput


def wanted_share(alignment: str, counts: np.ndarray) -> np.ndarray | None:
    """Return the shares that predictions are aligned with: "uniform", "labels"; None for "none"."""
    if alignment == "none":
        return None
    wanted = np.ones(len(counts)) if alignment == "uniform" else counts + 1.0
    return np.asarray(wanted / wanted.sum())


def class_weights(how: str, counts: np.ndarray, device: str) -> Any:
    """Return float32 (C,): with "balanced" every class has the same sum; None for "none"."""
    if how == "none":
        return None
    import torch

    weights = counts.sum() / (len(counts) * counts)
    return torch.from_numpy(weights.astype(np.float32)).to(device)


def log_shares(strength: float, counts: np.ndarray, total: int | None = None) -> np.ndarray:
    """Return what logit adjustment adds to logits in the loss, or takes from them afterwards.

    Parameters
    ----------
    strength : float
        The factor tau; 1 is what balanced accuracy asks for.
    counts : ndarray of int64, shape (C,)
        Labels of each class, none of them 0.
    total : int, optional
        Labelled items, where an item may have several labels: the result is then the log of the
        odds of each.

    Returns
    -------
    ndarray of float64, shape (C,)

    References
    ----------
    Menon et al.: Long-tail learning via logit adjustment, ICLR 2021.
    """
    others = counts.sum() if total is None else total - counts
    return np.asarray(strength * np.log(counts / others))


def refuse_both(owner: str, class_weight: str, logit_adjustment: float) -> None:
    """Raise where classes are made equal twice.

    Raises
    ------
    BadInput
    """
    if class_weight != "none" and logit_adjustment:
        raise BadInput(
            f"{owner}: class_weight={class_weight} and logit_adjustment={logit_adjustment}",
            "use one of them: either makes classes equal",
        )
