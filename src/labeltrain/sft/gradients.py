"""In which direction an answer moves a model: gradients of LoRA where training begins."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from labeltrain.errors import BadInput, missing_extra
from labeltrain.rng import stream
from labeltrain.sft import models
from labeltrain.sft.prompts import Message
from labeltrain.sft.template import ChatFormat
from labeltrain.sft.tokenised import Example, encoded, refuse_too_long

RANK = 16  # as training has it by default
DIMENSIONS = 4096
SEED = 0


@dataclass(frozen=True)
class Gradients:
    """What the strategy reads in place of embeddings.

    Attributes
    ----------
    rows : ndarray of float32, shape (n, d)
        By position in the pool; zeros for prompts without an answer.
    targets : ndarray of float32, shape (t, d)
    """

    rows: np.ndarray
    targets: np.ndarray


def answer_gradients(
    held: models.LanguageModel,
    chat: ChatFormat,
    pairs: Sequence[tuple[Sequence[Message], str]],
    *,
    ids: Sequence[str] = (),
    rank: int = RANK,
    dimensions: int = DIMENSIONS,
    seed: int = SEED,
    progress: Callable[[float, float], None] | None = None,
) -> np.ndarray:
    """Return a projection of the gradient of each answer's loss, float32 (n, dimensions).

    Parameters
    ----------
    held : LanguageModel
        The model that is to be tuned. It is as it was when this returns.
    chat : ChatFormat
        As in training.
    pairs : sequence of (messages, answer)
    ids : sequence of str
        Of the prompts, for errors.
    rank : int
        Of LoRA, on all linear layers but the head.
    dimensions : int
        0: no projection.
    seed : int
        Of LoRA's first matrices, and of the projection.
    progress : callable, optional
        Called with answers done and answers in all.

    Raises
    ------
    BadInput
        A prompt that the template refuses, or that with its answer is too long; a gradient that is
        not finite.
    MissingExtra
        PEFT is not installed.

    Notes
    -----
    The loss is that of training: the mean negative log-likelihood of the answer's tokens, its end
    mark included. LoRA adds ``B A x`` to each linear layer. Where training begins B is 0, so that A
    has no gradient, and that of B is the sum over tokens of ``dL/d(out) (A x)^T``. One pass forward
    and one back for each answer, one at a time.

    Two gradients are compared by their inner product. It is kept in expectation, with a standard
    deviation of about ``|g| |h| / sqrt(dimensions)``, by adding every number to one of the
    dimensions, with a random sign (count sketch; Charikar, Chen, Farach-Colton 2002). A dense
    projection would need a matrix of ten thousand million numbers, with a model of 135 million
    weights. Unlike LESS (Xia et al. 2024), gradients are not scaled as Adam would, since no
    training has warmed it up.
    """
    import torch

    examples = encoded(chat, pairs, None, ids)
    refuse_too_long(held, examples, ids)
    with _adapted(held, rank, seed) as (tuned, matrices):
        names = [name for name, _ in matrices]
        weights = [weight for _, weight in matrices]
        sizes = [weight.numel() for weight in weights]
        sketch = _Sketch(names, sizes, dimensions, seed) if dimensions else None
        found = np.empty((len(examples), dimensions or sum(sizes)), dtype=np.float32)
        for number, example in enumerate(examples):
            loss = _loss(tuned, held, example)
            parts = torch.autograd.grad(loss, weights)
            flat = [part.detach().flatten().float().cpu() for part in parts]
            found[number] = torch.cat(flat).numpy() if sketch is None else sketch.of(flat)
            if not np.isfinite(found[number]).all():
                named = repr(ids[number]) if ids else f"number {number + 1}"
                raise BadInput(
                    f"the gradient of the answer to prompt {named} is not finite",
                    "choose --set by=prompts, or take another model",
                )
            if progress is not None:
                progress(float(number + 1), float(len(examples)))
    return found


def _loss(tuned: Any, held: models.LanguageModel, example: Example) -> Any:
    """Return the mean negative log-likelihood of an answer's tokens."""
    import torch

    tokens = torch.tensor([[*example.prompt, *example.answer]], device=held.device)
    first = len(example.prompt) - 1
    places = torch.arange(first, tokens.shape[1] - 1, device=held.device)
    logits = tuned(input_ids=tokens, logits_to_keep=places, use_cache=False).logits[0]
    return torch.nn.functional.cross_entropy(logits.float(), tokens[0, first + 1 :])


@contextmanager
def _adapted(held: models.LanguageModel, rank: int, seed: int) -> Iterator[tuple[Any, Any]]:
    """Put fresh LoRA matrices into a model; give it and the B's, and take them out again."""
    import torch

    try:
        import transformers
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise missing_extra(error.name or "peft", "sft", "gradients of answers") from error
    config = LoraConfig(r=rank, lora_alpha=rank, target_modules="all-linear", task_type="CAUSAL_LM")
    wanted = [(p, p.requires_grad) for p in held.model.parameters()]
    with models.quiet(transformers), torch.random.fork_rng():
        torch.manual_seed(seed)
        tuned = get_peft_model(held.model, config).eval()
    try:
        named = list(tuned.named_parameters())
        for name, weight in named:
            weight.requires_grad_("lora_B" in name)
        yield tuned, [(name, weight) for name, weight in named if "lora_B" in name]
    finally:
        tuned.unload()
        for weight, before in wanted:
            weight.requires_grad_(before)


class _Sketch:
    """Adds each number of a gradient to one dimension, with a random sign."""

    def __init__(self, names: Sequence[str], sizes: Sequence[int], width: int, seed: int) -> None:
        import torch

        self._width = width
        self._places, self._signs = [], []
        for name, size in zip(names, sizes, strict=True):
            rng = stream(seed, "gradient projection", name)
            self._places.append(torch.from_numpy(rng.integers(0, width, size, dtype=np.int32)))
            self._signs.append(torch.from_numpy(rng.integers(0, 2, size, dtype=np.int8)))

    def of(self, parts: Sequence[Any]) -> np.ndarray:
        """Return the sketch of a gradient, float32 (width,)."""
        import torch

        found = torch.zeros(self._width)
        for part, places, signs in zip(parts, self._places, self._signs, strict=True):
            found.index_add_(0, places, torch.where(signs.bool(), part, -part))
        return found.numpy()
