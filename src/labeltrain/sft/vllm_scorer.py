"""Scoring with a vLLM server: exact margins, at its speed.

vLLM pins versions of torch and transformers that LabelTrain does not use, so it is not imported:
it runs in an environment of its own (``vllm serve MODEL``), and is asked over HTTP.
"""

from __future__ import annotations

import json
import math
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from labeltrain.errors import BadInput
from labeltrain.sft.models import LanguageModel
from labeltrain.sft.reductions import SCORES
from labeltrain.sft.scorer import Scored, Scorer

TIE = 1e-3  # of log-probabilities: likeliest tokens that are equal but for rounding
SECONDS = 600.0  # that one batch may take


class VLLMScorer(Scorer):
    """Ask a vLLM server for greedy answers and the two likeliest tokens of each step.

    Entropies need the whole vocabulary, which a server does not send: they are NaN, and designs
    that read them say so. Embeddings come from an encoder.

    Parameters
    ----------
    held : LanguageModel
        Tokenizer and settings of the model; the server has its weights.
    server : str
        Such as http://localhost:8000.

    Raises
    ------
    BadInput
        The server cannot be reached, or serves another model.
    """

    name = "vllm"

    def __init__(self, held: LanguageModel, server: str) -> None:
        self._held = held
        self._server = server.rstrip("/")
        served = [str(m["id"]) for m in self._ask("/v1/models", None)["data"]]
        wanted = (held.name, str(held.folder), held.folder.name)
        self._model = next((m for m in served if m in wanted), "")
        if not self._model:
            raise BadInput(
                f"{self._server} serves {', '.join(served) or 'nothing'}, not {held.name}",
                f"vllm serve {held.folder} --served-model-name {held.name}",
            )

    def score(
        self, prompts: Sequence[Sequence[int]], max_new_tokens: int, poolings: Sequence[str]
    ) -> Scored:
        """See :class:`Scorer`."""
        if poolings:
            raise BadInput(
                "a vLLM server gives no states of the model", "embed with --encoder minilm"
            )
        said = self._ask(
            "/v1/completions",
            {
                "model": self._model,
                "prompt": [list(prompt) for prompt in prompts],
                "max_tokens": max_new_tokens,
                # What is not said a server takes from the model's own settings.
                "temperature": 0.0,
                "top_p": 1.0,
                "top_k": 0,
                "min_p": 0.0,
                "repetition_penalty": 1.0,
                "presence_penalty": 0.0,
                "frequency_penalty": 0.0,
                "logprobs": 2,
                "return_tokens_as_token_ids": True,
                "seed": 0,
            },
        )
        choices = sorted(said["choices"], key=lambda choice: int(choice["index"]))
        if len(choices) != len(prompts):
            raise BadInput(
                f"{self._server} gave {len(choices)} answers to {len(prompts)} prompts",
                "check its version: /v1/completions has to take a list of token lists",
            )
        rows = [_reduced(choice["logprobs"], self._server) for choice in choices]
        scores = {name: np.array([row[name] for row in rows], dtype=np.float64) for name in SCORES}
        truncated = np.array([choice["finish_reason"] == "length" for choice in choices])
        return Scored(scores, tuple(str(c["text"]).strip() for c in choices), truncated)

    def _ask(self, path: str, body: Mapping[str, Any] | None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self._server + path, data, {"Content-Type": "application/json"}
        )
        if not self._server.startswith(("http://", "https://")):
            raise BadInput(f"the server {self._server!r} is no address", "http://localhost:8000")
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            told = error.read(500).decode(errors="replace")
            raise BadInput(
                f"{self._server}{path} answers {error.code}: {told}", "see the server's log"
            ) from error
        except (OSError, json.JSONDecodeError) as error:
            raise BadInput(
                f"{self._server}{path} cannot be asked: {error}",
                "start it (vllm serve MODEL), or name it with --server",
            ) from error


def _reduced(found: Mapping[str, Any] | None, server: str) -> dict[str, float]:
    """Return the scores of one answer from the log-probabilities of its steps."""
    if not found or not found.get("top_logprobs"):
        raise BadInput(f"{server} gives no log-probabilities", "start it with --max-logprobs 2")
    gaps, nll = [], 0.0
    said = found.get("token_logprobs") or [None] * len(found["top_logprobs"])
    for step, own in zip(found["top_logprobs"], said, strict=True):
        best = sorted(step.values(), reverse=True)[:2]
        if own is not None and best and own < best[0] - TIE:
            raise BadInput(
                f"{server} says a token that is not the likeliest one",
                "start it without sampling of its own (--generation-config vllm)",
            )
        if len(best) < 2:
            raise BadInput(f"{server} gives fewer than two log-probabilities a step", "see its log")
        gaps.append(math.exp(best[0]) - math.exp(best[1]))
        nll -= best[0]
    return {
        "mean_entropy": math.nan,
        "max_entropy": math.nan,
        "nll": nll,
        "nll_mean": nll / len(gaps),
        "mean_margin": sum(gaps) / len(gaps),
        "min_margin": min(gaps),
        "tokens": float(len(gaps)),
    }
