"""What is done about classes of unequal size."""

from __future__ import annotations

from typing import Any

import numpy as np


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
