"""The vLLM backend against a server that answers as vLLM does, from the same tiny model."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from labeltrain.errors import BadInput, MissingNeed
from labeltrain.sft.choosing import choose_in
from labeltrain.sft.generation import TransformersScorer
from labeltrain.sft.models import LanguageModel, load
from labeltrain.sft.pipeline import score_file
from labeltrain.sft.reductions import SCORES
from labeltrain.sft.selection import Question
from labeltrain.sft.template import ChatFormat
from labeltrain.sft.vllm_scorer import VLLMScorer
from labeltrain.sft.workspace import PromptWorkspace


class Fake:
    """What /v1/completions of vLLM says, with `logprobs` and `return_tokens_as_token_ids`."""

    def __init__(self, held: LanguageModel) -> None:
        self.held = held
        self.asked: list[dict[str, Any]] = []
        self.broken = ""

    def complete(self, body: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(body)
        # A server fills what is left out from the model's own generation settings.
        neutral = {
            "temperature": 0.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0,
            "presence_penalty": 0.0, "frequency_penalty": 0.0,
        }  # fmt: skip
        assert {name: body.get(name) for name in neutral} == neutral
        choices = []
        for index, prompt in enumerate(body["prompt"]):
            sequence, steps = list(prompt), []
            reason = "length"
            while len(steps) < body["max_tokens"]:
                with torch.no_grad():
                    logits = self.held.model(torch.tensor([sequence])).logits[0, -1].double()
                logp = torch.log_softmax(logits, -1)
                best = torch.topk(logp, body["logprobs"])
                steps.append(
                    {f"token_id:{t}": v for t, v in zip(best.indices.tolist(),
                                                       best.values.tolist(), strict=True)}
                )  # fmt: skip
                sequence.append(int(best.indices[0]))
                if sequence[-1] in self.held.ends:
                    reason = "stop"
                    break
            text = self.held.text(sequence[len(prompt) :])
            said = [max(step.values()) for step in steps]
            if self.broken == "samples":
                said[-1] -= 1.9
            logprobs: Any = {"top_logprobs": steps, "token_logprobs": said}
            if self.broken == "no logprobs":
                logprobs = None
            choices.append(
                {"index": index, "text": text, "finish_reason": reason, "logprobs": logprobs}
            )
        if self.broken == "fewer":
            choices.pop()
        return {"choices": choices[::-1]}  # in no order that one may rely on


@pytest.fixture(scope="module")
def held(tiny: Path) -> LanguageModel:
    return load(str(tiny), device="cpu", threads=1)


@pytest.fixture
def server(held: LanguageModel) -> Iterator[tuple[str, Fake]]:
    fake = Fake(held)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._say(200, {"data": [{"id": held.name}]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if fake.broken == "500":
                self._say(500, {"error": "out of memory"})
            else:
                self._say(200, fake.complete(body))

        def _say(self, code: int, value: Any) -> None:
            data = json.dumps(value).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None: ...

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}", fake
    httpd.shutdown()
    httpd.server_close()


PROMPTS = ["what is the capital", "add one and two", "say no"]


def test_margins_are_those_of_transformers(
    server: tuple[str, Fake], held: LanguageModel, tiny: Path
) -> None:
    chat = ChatFormat(held.tokenizer)
    tokens = [chat.prompt(({"role": "user", "content": p},)).tokens for p in PROMPTS]
    own = load(str(tiny), device="cpu", weights=False)
    found = VLLMScorer(own, server[0]).score(tokens, 9, ())
    expected = TransformersScorer(held).score(tokens, 9, ())
    for name in SCORES:
        if "entropy" in name:
            assert np.isnan(found.scores[name]).all()
        else:
            np.testing.assert_allclose(found.scores[name], expected.scores[name], atol=1e-5)
    assert found.drafts == expected.drafts
    assert found.truncated.tolist() == expected.truncated.tolist()
    with pytest.raises(BadInput, match="gives no states"):
        VLLMScorer(own, server[0]).score(tokens, 9, ("last",))


def test_a_server_that_samples_is_refused(
    server: tuple[str, Fake], held: LanguageModel, tiny: Path
) -> None:
    server[1].broken = "samples"
    own = load(str(tiny), device="cpu", weights=False)
    with pytest.raises(BadInput, match="says a token that is not the likeliest"):
        VLLMScorer(own, server[0]).score([(5, 6, 7)], 3, ())


def test_a_pool_is_scored_over_http(server: tuple[str, Fake], tiny: Path, tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text("".join(json.dumps({"prompt": p}) + "\n" for p in PROMPTS))
    score_file(
        str(path), tmp_path / "w", model=str(tiny), backend="vllm", server=server[0],
        max_new_tokens=5, device="cpu",
    )  # fmt: skip
    assert len(server[1].asked) == 1
    with PromptWorkspace.open(tmp_path / "w") as workspace:
        told = choose_in(workspace, Question("min-margin", "2"))
        assert told["chosen"] == 2
        with pytest.raises((BadInput, MissingNeed), match="mean_entropy"):
            choose_in(workspace, Question("mean-entropy", "2"))


def test_what_a_server_may_do_wrong(
    server: tuple[str, Fake], held: LanguageModel, tmp_path: Path
) -> None:
    scorer = VLLMScorer(held, server[0])
    for broken, message in [
        ("no logprobs", "gives no log-probabilities"), ("fewer", "gave 1 answers to 2 prompts"),
        ("500", "answers 500: .*out of memory"),
    ]:  # fmt: skip
        server[1].broken = broken
        with pytest.raises(BadInput, match=message):
            scorer.score([(0, 1), (0, 2)], 3, ())
    with pytest.raises(BadInput, match="cannot be asked"):
        VLLMScorer(held, "http://127.0.0.1:9")
    with pytest.raises(BadInput, match="is no address"):
        VLLMScorer(held, "localhost:8000")
    other = LanguageModel("other", tmp_path, held.config, held.tokenizer, None, "cpu", "float32")
    with pytest.raises(BadInput, match=r"(?s)serves .*, not other.*vllm serve"):
        VLLMScorer(other, server[0])
