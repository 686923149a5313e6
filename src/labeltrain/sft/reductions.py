"""What is kept of each generated token: running sums, never a step x vocabulary tensor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

# Names of the scores of a prompt, as strategies read them.
SCORES = (
    "mean_entropy",
    "max_entropy",
    "nll",
    "nll_mean",
    "mean_margin",
    "min_margin",
    "tokens",
)


@dataclass
class Running:
    """Sums, largest and smallest values over the tokens generated so far, for b answers.

    Each step takes the logits as the model gives them: temperature 1, no filter, in float32.
    """

    count: Any
    entropy: Any
    entropy_max: Any
    margin: Any
    margin_min: Any
    nll: Any

    @classmethod
    def empty(cls, size: int, device: Any) -> Running:
        """Begin, for `size` answers; sums are kept in float64 where the device has it."""
        import torch

        exact = torch.float32 if str(device).startswith("mps") else torch.float64
        zeros = torch.zeros(size, dtype=exact, device=device)
        far = torch.full((size,), float("inf"), dtype=exact, device=device)
        return cls(zeros.clone(), zeros.clone(), -far, zeros.clone(), far, zeros.clone())

    def add(self, rows: Any, logits: Any) -> Any:
        """Take one step in, of the answers `rows` with logits (r, V); return the likeliest tokens.

        Of equal logits the first token is taken.
        """
        import torch

        logp = torch.log_softmax(logits.float(), dim=-1)
        token = logits.argmax(dim=-1)
        best = torch.topk(logp, 2, dim=-1).values
        top = best.double() if self.nll.dtype == torch.float64 else best
        # 0 * -inf: a token that cannot come adds nothing.
        terms = torch.where(logp > -torch.inf, logp.exp() * logp, torch.zeros_like(logp))
        entropy = -terms.sum(dim=-1).to(self.nll.dtype)
        margin = top[:, 0].exp() - top[:, 1].exp()
        self.count[rows] += 1
        self.entropy[rows] += entropy
        self.entropy_max[rows] = torch.maximum(self.entropy_max[rows], entropy)
        self.margin[rows] += margin
        self.margin_min[rows] = torch.minimum(self.margin_min[rows], margin)
        self.nll[rows] -= top[:, 0]
        return token

    def scores(self) -> dict[str, np.ndarray]:
        """Return the scores of the answers, float64 (b,) each."""
        held = {
            name: getattr(self, name).double().cpu().numpy()
            for name in ("count", "entropy", "entropy_max", "margin", "margin_min", "nll")
        }
        count = np.maximum(held["count"], 1.0)
        return {
            "mean_entropy": held["entropy"] / count,
            "max_entropy": held["entropy_max"],
            "nll": held["nll"],
            "nll_mean": held["nll"] / count,
            "mean_margin": held["margin"] / count,
            "min_margin": held["margin_min"],
            "tokens": held["count"],
        }
