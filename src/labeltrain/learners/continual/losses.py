"""What is minimised when old items are replayed beside new ones."""

from __future__ import annotations

from typing import Any


def new_share(new: int, old: int) -> float:
    """Return lambda, the weight of the new items: their share of all.

    Examples
    --------
    >>> new_share(100, 300), new_share(100, 0)
    (0.25, 1.0)
    """
    return new / (new + old)


def divergence(logits: Any, targets: Any, *, released: bool = False) -> Any:
    """Return KL(softmax(targets) || softmax(logits)) of each item, shape (k,).

    Parameters
    ----------
    logits, targets : tensor, shape (k, C)
        Targets are stored logits.
    released : bool
        What the published code computes: ``torch.nn.KLDivLoss`` of probabilities where it expects
        their logarithms, and the mean over classes. It is not 0 where both agree.
    """
    import torch

    taught = targets.float().softmax(dim=1)
    if released:
        each = taught * (taught.clamp(min=1e-38).log() - logits.softmax(dim=1))
        return each.mean(dim=1)
    teacher = targets.float().log_softmax(dim=1)
    return torch.nn.functional.kl_div(
        logits.log_softmax(dim=1), teacher, reduction="none", log_target=True
    ).sum(dim=1)


def replayed(new: Any, new_labels: Any, old: Any, old_labels: Any) -> Any:
    """Return the mean cross-entropy of new and replayed items together (experience replay)."""
    import torch

    return torch.nn.functional.cross_entropy(
        torch.cat([new, old]), torch.cat([new_labels, old_labels])
    )


def dark(
    new: Any,
    new_labels: Any,
    old: Any,
    old_labels: Any,
    targets: Any,
    *,
    alpha: float,
    beta: float,
    released: bool = False,
) -> Any:
    """Return the loss of DER++: L_new + mean of (alpha |g - z|^2 + beta CE) over replayed items.

    Parameters
    ----------
    released : bool
        The published code takes the mean over classes of the squares, not their sum.
    """
    import torch

    squares = (old - targets.float()) ** 2
    apart = squares.mean(dim=1) if released else squares.sum(dim=1)
    known = torch.nn.functional.cross_entropy(old, old_labels, reduction="none")
    fresh = torch.nn.functional.cross_entropy(new, new_labels)
    return fresh + (alpha * apart + beta * known).mean()


def scaled(
    new: Any,
    new_labels: Any,
    old: Any,
    old_labels: Any,
    targets: Any,
    *,
    share: float,
    alpha: float,
    released: bool = False,
) -> Any:
    """Return the loss of scaled distillation.

    ``share L_new + (1 - share) mean of (alpha KL(softmax(z) || f) + (1 - alpha) CE)``.

    Parameters
    ----------
    share : float
        Of the new items among all: see :func:`new_share`.
    """
    import torch

    taught = divergence(old, targets, released=released)
    known = torch.nn.functional.cross_entropy(old, old_labels, reduction="none")
    fresh = torch.nn.functional.cross_entropy(new, new_labels)
    return share * fresh + (1.0 - share) * (alpha * taught + (1.0 - alpha) * known).mean()
