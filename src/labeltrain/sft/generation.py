"""Scoring with transformers: greedy generation whose logits are reduced at every step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from labeltrain.sft.models import LanguageModel
from labeltrain.sft.reductions import Running
from labeltrain.sft.scorer import Scored, Scorer


class TransformersScorer(Scorer):
    """Prefill a batch once, for the embeddings and the first token; then token by token.

    Answers that are finished leave the batch, so that no work is done for padding.

    Parameters
    ----------
    language_model : LanguageModel
    """

    name = "transformers"

    def __init__(self, language_model: LanguageModel) -> None:
        self._held = language_model
        if language_model.dtype != "float32":
            _sharpen(language_model.model)

    def score(
        self, prompts: Sequence[Sequence[int]], max_new_tokens: int, poolings: Sequence[str]
    ) -> Scored:
        """See :class:`Scorer`; prompts are padded on the left."""
        import torch

        held = self._held
        model, device = held.model, held.device
        size, width = len(prompts), max(map(len, prompts))
        tokens = torch.full((size, width), held.tokenizer.pad_token_id, dtype=torch.long)
        mask = torch.zeros((size, width), dtype=torch.long)
        for row, prompt in enumerate(prompts):
            tokens[row, width - len(prompt) :] = torch.tensor(list(prompt))
            mask[row, width - len(prompt) :] = 1
        tokens, mask = tokens.to(device), mask.to(device)
        running = Running.empty(size, device)
        alive = torch.arange(size, device=device)
        answers: list[list[int]] = [[] for _ in range(size)]
        finished = np.zeros(size, dtype=bool)
        ends = torch.tensor(held.ends, dtype=torch.long, device=device)
        with torch.inference_mode():
            found, hidden = _prefill(model, tokens, mask, bool(poolings))
            embeddings = {name: _pooled(hidden, mask, name) for name in poolings}
            cache = found.past_key_values
            logits = found.logits[:, -1]
            lengths = mask.sum(dim=1)
            for step in range(max_new_tokens):
                token = running.add(alive, logits)
                ended = torch.isin(token, ends)
                for row, one, over in zip(
                    alive.tolist(), token.tolist(), ended.tolist(), strict=True
                ):
                    answers[row].append(one)
                    finished[row] = over
                if step + 1 == max_new_tokens or bool(ended.all()):
                    break
                if bool(ended.any()):
                    keep = torch.nonzero(~ended).flatten()
                    cache.batch_select_indices(keep)
                    alive, token = alive[keep], token[keep]
                    mask, lengths = mask[keep], lengths[keep]
                mask = torch.cat([mask, mask.new_ones((len(mask), 1))], dim=1)
                found = model(
                    input_ids=token[:, None],
                    attention_mask=mask,
                    position_ids=lengths[:, None],
                    past_key_values=cache,
                    use_cache=True,
                )
                cache, logits = found.past_key_values, found.logits[:, -1]
                lengths = lengths + 1
        drafts = tuple(held.tokenizer.decode(a, skip_special_tokens=True).strip() for a in answers)
        return Scored(running.scores(), drafts, ~finished, embeddings)


def _sharpen(model: Any) -> None:
    """Make logits in float32 of states in less: 8 bits would make ties of most margins."""
    import torch

    head = model.get_output_embeddings()
    if head.weight.dtype == torch.float32:
        return
    head.weight = torch.nn.Parameter(head.weight.detach().float(), requires_grad=False)
    head.register_forward_pre_hook(lambda _module, inputs: (inputs[0].float(), *inputs[1:]))


def _prefill(model: Any, tokens: Any, mask: Any, want_hidden: bool) -> tuple[Any, Any]:
    """Run the prompts; return the output with the last logits, and the last hidden states."""
    caught: list[Any] = []

    def catch(_module: Any, _inputs: Any, output: Any) -> None:
        caught.append(output[0])

    hook = model.base_model.register_forward_hook(catch) if want_hidden else None
    try:
        positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
        found = model(
            input_ids=tokens,
            attention_mask=mask,
            position_ids=positions,
            use_cache=True,
            logits_to_keep=1,
        )
    finally:
        if hook is not None:
            hook.remove()
    return found, caught[0] if caught else None


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
