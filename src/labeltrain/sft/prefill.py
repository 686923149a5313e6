"""Prompts that were read once by the model, and any number of answers behind them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from typing import Any

import numpy as np

from labeltrain.sft.models import LanguageModel

Frame = tuple[tuple[int, ...], tuple[int, ...]]
NO_FRAME: Frame = ((), ())


class Prefilled:
    """A batch of prompts in the cache of a model.

    Parameters
    ----------
    held : LanguageModel
    prompts : sequence of sequence of int
        Tokens; they are padded on the left.
    poolings : sequence of str
        Embeddings that are wanted; see :data:`labeltrain.sft.scorer.POOLINGS`.
    frame : tuple of (tuple of int, tuple of int)
        Tokens at both ends that embeddings leave out, where a prompt has them.

    Attributes
    ----------
    embeddings : dict of str to ndarray of float32, shape (b, d)
        Of the states after the final norm.
    """

    def __init__(
        self,
        held: LanguageModel,
        prompts: Sequence[Sequence[int]],
        poolings: Sequence[str] = (),
        frame: Frame = NO_FRAME,
    ) -> None:
        import torch

        self._held = held
        size, self._width = len(prompts), max(map(len, prompts))
        tokens = torch.full((size, self._width), held.tokenizer.pad_token_id, dtype=torch.long)
        mask = torch.zeros((size, self._width), dtype=torch.long)
        for row, prompt in enumerate(prompts):
            tokens[row, self._width - len(prompt) :] = torch.tensor(list(prompt))
            mask[row, self._width - len(prompt) :] = 1
        self._mask = mask.to(held.device)
        caught: list[Any] = []
        hook = None
        if poolings:
            hook = held.model.base_model.register_forward_hook(
                lambda _module, _inputs, output: caught.append(output[0])
            )
        try:
            with torch.inference_mode():
                found = held.model(
                    input_ids=tokens.to(held.device),
                    attention_mask=self._mask,
                    position_ids=(self._mask.cumsum(dim=1) - 1).clamp(min=0),
                    use_cache=True,
                    logits_to_keep=1,
                )
                inner = _inner(self._mask, prompts, frame)
                self.embeddings = {name: _pooled(caught[0], inner, name) for name in poolings}
        finally:
            if hook is not None:
                hook.remove()
        self._cache = found.past_key_values
        self._logits = found.logits[:, -1]

    def likelihoods(self, answers: Sequence[tuple[int, Sequence[int]]]) -> list[np.ndarray]:
        """Return the log-probability of each token of answers to prompts, float64.

        Answers of about the same length are read together, no more of them at a time than there
        are prompts. The cache is as before afterwards.

        Parameters
        ----------
        answers : sequence of (int, sequence of int)
            Row of the prompt, any number of times, and the tokens.
        """
        import torch

        rows = torch.tensor([row for row, _ in answers], dtype=torch.long)
        lengths = [len(tokens) for _, tokens in answers]
        values = [np.empty(0)] * len(answers)
        if not max(lengths, default=0):
            return values
        padded = torch.zeros((len(answers), max(lengths)), dtype=torch.long)
        for place, (_, tokens) in enumerate(answers):
            padded[place, : len(tokens)] = torch.tensor(list(tokens), dtype=torch.long)
        rows, padded = rows.to(self._held.device), padded.to(self._held.device)
        with torch.inference_mode():
            start = torch.log_softmax(self._logits.float(), dim=-1)
            for group in _alike(lengths, len(self._mask)):
                mine, longest = rows[group], lengths[group[0]]
                tokens = padded[group, :longest]
                parts = [start[mine].gather(1, tokens[:, :1])]
                if longest > 1:
                    parts.append(self._continued(mine, tokens))
                found = torch.cat(parts, dim=1).double().cpu().numpy()
                for place, logp in zip(group, found, strict=True):
                    values[place] = logp[: lengths[place]]
        return values

    def _continued(self, rows: Any, tokens: Any) -> Any:
        """Return the log-probability of all tokens but the first, (r, t - 1)."""
        import torch

        cache = copy(self._cache)
        cache.layers = [copy(layer) for layer in cache.layers]  # tensors are not written into
        cache.batch_select_indices(rows)
        mask = self._mask[rows]
        more = torch.arange(tokens.shape[1] - 1, device=rows.device)
        found = self._held.model(
            input_ids=tokens[:, :-1],
            attention_mask=torch.cat([mask, mask.new_ones((len(rows), len(more)))], dim=1),
            position_ids=mask.sum(dim=1, keepdim=True) + more,
            past_key_values=cache,
            use_cache=True,
        )
        logp = torch.log_softmax(found.logits.float(), dim=-1)
        return logp.gather(2, tokens[:, 1:, None])[:, :, 0]

    def greedy(
        self, most: int, choose: Callable[[Any, Any], Any] | None = None
    ) -> tuple[list[list[int]], np.ndarray]:
        """Let the model answer; the cache is used up.

        Answers that are finished leave the batch, so that no work is done for padding.

        Parameters
        ----------
        most : int
            Tokens of an answer.
        choose : callable, optional
            Takes the rows, int64 (r,), and their logits (r, V); returns the tokens (r,). The
            likeliest ones by default.

        Returns
        -------
        answers : list of list of int
            With the token that ended them.
        finished : ndarray of bool, shape (b,)
        """
        import torch

        held = self._held
        size = len(self._mask)
        answers: list[list[int]] = [[] for _ in range(size)]
        finished = np.zeros(size, dtype=bool)
        ends = torch.tensor(held.ends, dtype=torch.long, device=held.device)
        alive = torch.arange(size, device=held.device)
        mask, lengths = self._mask, self._mask.sum(dim=1)
        cache, logits = self._cache, self._logits
        with torch.inference_mode():
            for step in range(most):
                token = logits.argmax(dim=-1) if choose is None else choose(alive, logits)
                ended = torch.isin(token, ends)
                for row, one, over in zip(
                    alive.tolist(), token.tolist(), ended.tolist(), strict=True
                ):
                    answers[row].append(one)
                    finished[row] = over
                if step + 1 == most or bool(ended.all()):
                    break
                if bool(ended.any()):
                    keep = torch.nonzero(~ended).flatten()
                    cache.batch_select_indices(keep)
                    alive, token = alive[keep], token[keep]
                    mask, lengths = mask[keep], lengths[keep]
                mask = torch.cat([mask, mask.new_ones((len(mask), 1))], dim=1)
                found = held.model(
                    input_ids=token[:, None],
                    attention_mask=mask,
                    position_ids=lengths[:, None],
                    past_key_values=cache,
                    use_cache=True,
                )
                cache, logits = found.past_key_values, found.logits[:, -1]
                lengths = lengths + 1
        return answers, finished


def _alike(lengths: Sequence[int], most: int) -> list[list[int]]:
    """Return groups of at most `most` places, the longest first; none is half padding."""
    groups: list[list[int]] = []
    order = sorted((p for p, n in enumerate(lengths) if n), key=lambda p: (-lengths[p], p))
    for place in order:
        if (
            not groups
            or len(groups[-1]) == most
            or 2 * (lengths[place] - 1) < lengths[groups[-1][0]] - 1  # the first needs no reading
        ):
            groups.append([])
        groups[-1].append(place)
    return groups


def _inner(mask: Any, prompts: Sequence[Sequence[int]], frame: Frame) -> Any:
    """Return the mask of the tokens inside the frame; of all where nothing is inside."""
    found = mask.clone()
    start, end = map(list, frame)
    for row, prompt in enumerate(prompts):
        tokens, offset = list(prompt), mask.shape[1] - len(prompt)
        first = len(start) if start and tokens[: len(start)] == start else 0
        last = len(tokens) - (len(end) if end and tokens[-len(end) :] == end else 0)
        if first < last:
            found[row, : offset + first] = 0
            found[row, offset + last :] = 0
    return found


def _pooled(hidden: Any, mask: Any, pooling: str) -> np.ndarray:
    """Return one vector a prompt, float32 (b, d), of the states after the final norm."""
    import torch

    states = hidden.float()
    if pooling == "last":
        columns = torch.arange(mask.shape[1], device=mask.device)
        result = states[columns.new_tensor(range(len(mask))), (mask * columns).argmax(dim=1)]
    else:
        weights = mask.float()
        if pooling == "weighted":
            weights = weights * mask.cumsum(dim=1)
        weights = weights / weights.sum(dim=1, keepdim=True)
        result = (states * weights[:, :, None]).sum(dim=1)
    found: np.ndarray = result.cpu().numpy()
    return found
