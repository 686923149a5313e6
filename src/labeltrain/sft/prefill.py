"""Prompts that were read once by the model, and any number of answers behind them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from labeltrain.sft.models import LanguageModel


class Prefilled:
    """A batch of prompts in the cache of a model.

    Parameters
    ----------
    held : LanguageModel
    prompts : sequence of sequence of int
        Tokens; they are padded on the left.
    poolings : sequence of str
        Embeddings that are wanted; see :data:`labeltrain.sft.scorer.POOLINGS`.

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
                self.embeddings = {name: _pooled(caught[0], self._mask, name) for name in poolings}
        finally:
            if hook is not None:
                hook.remove()
        self._cache = found.past_key_values
        self._logits = found.logits[:, -1]

    def likelihoods(self, answers: Sequence[Sequence[int]]) -> list[np.ndarray]:
        """Return the log-probability of each token of one answer a prompt, float64.

        An empty answer stands for none. The cache is as before afterwards.
        """
        import torch

        longest = max(map(len, answers))
        if longest == 0:
            return [np.empty(0) for _ in answers]
        device = self._held.device
        size = len(answers)
        tokens = torch.zeros((size, longest), dtype=torch.long)
        for row, answer in enumerate(answers):
            tokens[row, : len(answer)] = torch.tensor(list(answer), dtype=torch.long)
        tokens = tokens.to(device)
        with torch.inference_mode():
            parts = [torch.log_softmax(self._logits.float(), dim=-1).gather(1, tokens[:, :1])]
            if longest > 1:
                more = self._mask.new_ones((size, longest - 1))
                positions = self._mask.sum(dim=1, keepdim=True) + torch.arange(
                    longest - 1, device=device
                )
                found = self._held.model(
                    input_ids=tokens[:, :-1],
                    attention_mask=torch.cat([self._mask, more], dim=1),
                    position_ids=positions,
                    past_key_values=self._cache,
                    use_cache=True,
                )
                logp = torch.log_softmax(found.logits.float(), dim=-1)
                parts.append(logp.gather(2, tokens[:, 1:, None])[:, :, 0])
                self._cache.crop(1 - longest)  # negative: so many tokens less
            values = torch.cat(parts, dim=1).double().cpu().numpy()
        return [values[row, : len(answer)] for row, answer in enumerate(answers)]

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


def _pooled(hidden: Any, mask: Any, pooling: str) -> np.ndarray:
    """Return one vector a prompt, float32 (b, d), of the states after the final norm."""
    states = hidden.float()
    if pooling == "last":
        result = states[:, -1]  # padding is on the left
    else:
        weights = mask.float()
        if pooling == "weighted":
            weights = weights * mask.cumsum(dim=1)
        weights = weights / weights.sum(dim=1, keepdim=True)
        result = (states * weights[:, :, None]).sum(dim=1)
    found: np.ndarray = result.cpu().numpy()
    return found
