"""Scores equal a plain computation; shards are the same after any kill."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from labeltrain.errors import BadInput
from labeltrain.sft import scoring
from labeltrain.sft.generation import TransformersScorer
from labeltrain.sft.models import LanguageModel, load
from labeltrain.sft.pipeline import score_file
from labeltrain.sft.reductions import SCORES, Running
from labeltrain.sft.scored_pool import scored_pool
from labeltrain.sft.scorer import POOLINGS, Scored, Scorer
from labeltrain.sft.template import ChatFormat
from labeltrain.sft.workspace import PromptWorkspace

PROMPTS = [
    "what is the capital of france",
    "add one and two",
    "name a colour " * 6,
    "say yes or no",
    "how many apples are there please answer the question",
]


@pytest.fixture(scope="module")
def held(tiny: Path) -> LanguageModel:
    return load(str(tiny), device="cpu", threads=1)


@pytest.fixture(scope="module")
def tokens(held: LanguageModel) -> list[tuple[int, ...]]:
    chat = ChatFormat(held.tokenizer)
    return [chat.prompt(({"role": "user", "content": text},)).tokens for text in PROMPTS]


def plainly(held: LanguageModel, prompt: tuple[int, ...], most: int) -> dict[str, Any]:
    """Score one prompt the slow way: token by token, the whole sequence again each time."""
    sequence, rows = list(prompt), []
    hidden = None
    while len(rows) < most:
        with torch.no_grad():
            found = held.model(torch.tensor([sequence]), output_hidden_states=True, use_cache=False)
        if hidden is None:
            hidden = found.hidden_states[-1][0].numpy()
        p = torch.softmax(found.logits[0, -1].double(), dim=-1).numpy()
        rows.append(p)
        sequence.append(int(p.argmax()))
        if sequence[-1] in held.ends:
            break
    tops = np.sort(rows, axis=1)[:, ::-1][:, :2]
    entropies = np.array([-(p[p > 0] * np.log(p[p > 0])).sum() for p in rows])
    nll = -np.log(tops[:, 0]).sum()
    gaps = tops[:, 0] - tops[:, 1]
    assert hidden is not None
    weights = np.arange(1, len(hidden) + 1)
    return {
        "mean_entropy": entropies.mean(), "max_entropy": entropies.max(), "nll": nll,
        "nll_mean": nll / len(rows), "mean_margin": gaps.mean(), "min_margin": gaps.min(),
        "tokens": len(rows), "truncated": sequence[-1] not in held.ends,
        "last": hidden[-1], "mean": hidden.mean(axis=0),
        "weighted": weights @ hidden / weights.sum(),
        "draft": held.tokenizer.decode(sequence[len(prompt):], skip_special_tokens=True).strip(),
    }  # fmt: skip


@pytest.mark.parametrize("most", [1, 9, 40])
def test_scores_equal_a_plain_computation(
    held: LanguageModel, tokens: list[tuple[int, ...]], most: int
) -> None:
    found = TransformersScorer(held).score(tokens, most, POOLINGS)
    for row, prompt in enumerate(tokens):
        expected = plainly(held, prompt, most)
        for name in SCORES:
            assert found.scores[name][row] == pytest.approx(expected[name], abs=1e-4), name
        assert found.truncated[row] == expected["truncated"]
        assert found.drafts[row] == expected["draft"]
        for pooling in POOLINGS:
            np.testing.assert_allclose(found.embeddings[pooling][row], expected[pooling], atol=1e-4)


def test_embeddings_leave_the_frame_of_the_template_out(
    held: LanguageModel, tokens: list[tuple[int, ...]]
) -> None:
    start, end = tokens[0][:2], tokens[0][-3:]
    some = [tokens[0], (*start, 40, 41, *end), (*start, 40, 41, 42), (44, 45), (*start, *end)]
    found = TransformersScorer(held, (start, end)).score(some, 1, POOLINGS)
    for row, (prompt, first, last) in enumerate(
        [(some[0], 2, -3), (some[1], 2, -3), (some[2], 2, None), (some[3], 0, None),
         (some[4], 0, None)]
    ):  # fmt: skip
        with torch.no_grad():
            out = held.model(torch.tensor([list(prompt)]), output_hidden_states=True)
        hidden = out.hidden_states[-1][0].numpy()[first:last]
        weights = np.arange(1, len(hidden) + 1)
        expected = {
            "last": hidden[-1], "mean": hidden.mean(axis=0),
            "weighted": weights @ hidden / weights.sum(),
        }  # fmt: skip
        for pooling in POOLINGS:
            np.testing.assert_allclose(found.embeddings[pooling][row], expected[pooling], atol=1e-4)


def test_the_frame_is_what_all_prompts_share(held: LanguageModel) -> None:
    chat = ChatFormat(held.tokenizer)
    start, end = chat.frame
    for text in ("who was it", "a much longer question about nothing at all"):
        tokens = chat.prompt([{"role": "user", "content": text}]).tokens
        assert tokens[: len(start)] == start
        assert tokens[len(tokens) - len(end) :] == end
        inner = held.tokenizer.decode(list(tokens[len(start) : len(tokens) - len(end)]))
        assert inner.split() == text.split()


def test_answers_that_end_leave_the_batch(tiny: Path, tokens: list[tuple[int, ...]]) -> None:
    """Any token may end an answer here, so that answers end at different steps."""
    held = load(str(tiny), device="cpu", threads=1)
    first = TransformersScorer(held).score(tokens, 12, ())
    drafted = [plainly(held, prompt, 12) for prompt in tokens]
    held.model.generation_config.eos_token_id = [1, *range(60, 160)]
    expected = [plainly(held, prompt, 12) for prompt in tokens]
    found = TransformersScorer(held).score(tokens, 12, ("mean",))
    assert len(set(found.scores["tokens"].tolist())) > 1, "the test needs answers of all lengths"
    for row, one in enumerate(expected):
        for name in SCORES:
            assert found.scores[name][row] == pytest.approx(one[name], abs=1e-4), name
        assert found.truncated[row] == one["truncated"]
    assert first.scores["tokens"].tolist() == [d["tokens"] for d in drafted]


def test_a_padded_batch_equals_single_prompts(
    held: LanguageModel, tokens: list[tuple[int, ...]]
) -> None:
    scorer = TransformersScorer(held)
    together = scorer.score(tokens, 10, POOLINGS)
    for row, prompt in enumerate(tokens):
        alone = scorer.score([prompt], 10, POOLINGS)
        for name in SCORES:
            assert together.scores[name][row] == pytest.approx(alone.scores[name][0], abs=1e-5)
        for pooling in POOLINGS:
            np.testing.assert_allclose(
                together.embeddings[pooling][row], alone.embeddings[pooling][0], atol=1e-5
            )


def test_greedy_answers_are_those_of_transformers(
    held: LanguageModel, tokens: list[tuple[int, ...]]
) -> None:
    found = TransformersScorer(held).score(tokens, 20, ())
    for row, prompt in enumerate(tokens):
        whole = held.model.generate(
            torch.tensor([prompt]), max_new_tokens=20, do_sample=False,
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
        )  # fmt: skip
        text = held.tokenizer.decode(whole[0, len(prompt) :], skip_special_tokens=True).strip()
        assert found.drafts[row] == text


def test_hand_values_of_two_steps_and_three_tokens() -> None:
    steps = [[[0.5, 0.25, 0.25], [1.0, 0.0, 0.0]], [[0.2, 0.2, 0.6]]]
    running = Running.empty(2, "cpu")
    logits = [torch.log(torch.tensor(step)) for step in steps]
    assert running.add(torch.tensor([0, 1]), logits[0]).tolist() == [0, 0]
    assert running.add(torch.tensor([0]), logits[1]).tolist() == [2]  # the other has ended
    found = running.scores()
    first = 0.5 * np.log(2) + 0.5 * np.log(4)
    second = -(0.4 * np.log(0.2) + 0.6 * np.log(0.6))
    np.testing.assert_allclose(found["mean_entropy"], [(first + second) / 2, 0.0], atol=1e-6)
    np.testing.assert_allclose(found["max_entropy"], [max(first, second), 0.0], atol=1e-6)
    np.testing.assert_allclose(found["nll"], [-np.log(0.5 * 0.6), 0.0], atol=1e-6)
    np.testing.assert_allclose(found["mean_margin"], [(0.25 + 0.4) / 2, 1.0], atol=1e-6)
    np.testing.assert_allclose(found["min_margin"], [0.25, 1.0], atol=1e-6)
    assert found["tokens"].tolist() == [2.0, 1.0]


def test_constant_logits_and_the_order_of_least_confidence() -> None:
    running = Running.empty(1, "cpu")
    running.add(torch.tensor([0]), torch.zeros(1, 7))
    found = running.scores()
    assert found["mean_entropy"][0] == pytest.approx(np.log(7), abs=1e-6)
    assert found["min_margin"][0] == pytest.approx(0.0, abs=1e-7)
    rng = np.random.default_rng(0)
    p = rng.uniform(0.2, 1.0, size=(50, 6))
    nll = -np.log(p).sum(axis=1)
    assert (np.argsort(nll) == np.argsort(1 - p.prod(axis=1))).all()


def test_margins_in_bfloat16_do_not_tie(tiny: Path, tokens: list[tuple[int, ...]]) -> None:
    exact = TransformersScorer(load(str(tiny), device="cpu")).score(tokens, 1, ())
    half = TransformersScorer(load(str(tiny), device="cpu", dtype="bfloat16")).score(tokens, 1, ())
    assert (half.scores["min_margin"] > 0).all()
    np.testing.assert_allclose(half.scores["min_margin"], exact.scores["min_margin"], atol=0.05)


# -- a whole pool --------------------------------------------------------------------------------


def pool_file(folder: Path, n: int = 30) -> Path:
    rng = random.Random(0)
    rows = [
        {"id": f"q{i}", "prompt": " ".join(rng.choices(PROMPTS[0].split(), k=rng.randint(1, 30)))}
        for i in range(n)
    ]
    path = folder / "pool.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def options(tiny: Path, **more: Any) -> dict[str, Any]:
    return {
        "model": str(tiny), "max_new_tokens": 6, "pooling": POOLINGS, "device": "cpu",
        "threads": 1, "batch_tokens": 200, **more,
    }  # fmt: skip


def files(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted((folder / "arrays").glob("*.npz"))}


class Dies(BaseException):
    """As if the process was killed: nothing catches it."""


def test_a_pool_is_scored_in_shards_longest_first(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "SHARD", 8)
    path = pool_file(tmp_path)
    told = score_file(str(path), tmp_path / "w", **options(tiny))
    assert told[0] == "30 prompts"
    with PromptWorkspace.open(tmp_path / "w") as workspace:
        pool = scored_pool(workspace)
        assert len(list(workspace.events("scored"))) == 4
        held = load(str(tiny), device="cpu", threads=1)
        chat = ChatFormat(held.tokenizer, max_prompt_tokens=pool.settings["max_prompt_tokens"])
        scorer = TransformersScorer(held, chat.frame)
        for i, prompt in enumerate(workspace.prompts):
            one = scorer.score([chat.prompt(prompt.messages).tokens], 6, POOLINGS)
            for name in SCORES:
                assert pool.scores[name][i] == pytest.approx(one.scores[name][0], abs=1e-4)
            np.testing.assert_allclose(
                pool.embeddings["mean"][i], one.embeddings["mean"][0], atol=1e-4
            )
            assert pool.drafts[i] == one.drafts[0]
    assert pool.flops == pytest.approx(
        2 * held.parameters * (pool.prompt_tokens.sum() + pool.scores["tokens"].sum())
    )
    before = files(tmp_path / "w")
    score_file(str(path), tmp_path / "w", **options(tiny))  # nothing is left to do
    assert files(tmp_path / "w") == before


@pytest.mark.parametrize("moment", range(20))
def test_a_kill_at_any_moment_resumes_to_the_same_files(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    """Dies at random calls of what writes, and before and after what scores."""
    monkeypatch.setattr(scoring, "SHARD", 8)
    path = pool_file(tmp_path)
    score_file(str(path), tmp_path / "whole", **options(tiny))
    calls = {"left": random.Random(moment).randint(1, 30)}

    def deadly(method: Any) -> Any:
        def wrapped(*given: Any, **more: Any) -> Any:
            calls["left"] -= 1
            if calls["left"] == 0:
                raise Dies
            result = method(*given, **more)
            calls["left"] -= 1
            if calls["left"] == 0:
                raise Dies
            return result

        return wrapped

    with monkeypatch.context() as patch:
        patch.setattr(TransformersScorer, "score", deadly(TransformersScorer.score))
        patch.setattr(PromptWorkspace, "append", deadly(PromptWorkspace.append))
        from labeltrain.store.workspace import Workspace

        patch.setattr(Workspace, "save_arrays", deadly(Workspace.save_arrays))
        with pytest.raises(Dies):
            score_file(str(path), tmp_path / "killed", **options(tiny))
    score_file(str(path), tmp_path / "killed", **options(tiny))
    assert files(tmp_path / "killed") == files(tmp_path / "whole")


KILLER = """
import os, random, signal, sys, time
from pathlib import Path
from labeltrain.sft.generation import TransformersScorer
from labeltrain.sft.pipeline import score_file
import torch, transformers

pool, folder = sys.argv[1], Path(sys.argv[2])
seconds, options = float(sys.argv[3]), eval(sys.argv[4])
rng, kills, number = random.Random(0), 0, 0
while kills < 20:
    child = os.fork()
    if child == 0:
        score_file(pool, folder / str(number), **options)
        os._exit(0)
    time.sleep(rng.uniform(0.0, seconds))
    done, _ = os.waitpid(child, os.WNOHANG)
    if done:
        number += 1
    else:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        kills += 1
print(number + 1)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks processes that it kills")
def test_kills_at_twenty_moments_resume_to_the_same_files(tiny: Path, tmp_path: Path) -> None:
    path = pool_file(tmp_path, 150)
    given = options(tiny, max_new_tokens=8)
    started = time.monotonic()
    score_file(str(path), tmp_path / "whole", **given)
    seconds = time.monotonic() - started
    done = subprocess.run(
        [sys.executable, "-c", KILLER, str(path), str(tmp_path / "k"), str(seconds), repr(given)],
        capture_output=True, text=True, timeout=600, check=True,
    )  # fmt: skip
    for number in range(int(done.stdout)):
        folder = tmp_path / "k" / str(number)
        score_file(str(path), folder, **given)
        assert files(folder) == files(tmp_path / "whole")


def test_new_prompts_are_scored_and_old_ones_are_not(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "SHARD", 8)
    path = pool_file(tmp_path, 10)
    score_file(str(path), tmp_path / "w", **options(tiny))
    old = files(tmp_path / "w")
    with path.open("a") as file:
        file.write('{"id": "new", "prompt": "say no"}\n')
    scored: list[int] = []
    score = TransformersScorer.score

    def watched(self: Any, prompts: Any, *more: Any) -> Scored:
        scored.append(len(prompts))
        return score(self, prompts, *more)

    monkeypatch.setattr(TransformersScorer, "score", watched)
    score_file(str(path), tmp_path / "w", **options(tiny))
    assert scored == [1]
    assert old.items() <= files(tmp_path / "w").items()
    with PromptWorkspace.open(tmp_path / "w") as workspace:
        pool = scored_pool(workspace)
        assert len(pool.drafts) == 11
        assert all(np.isfinite(values).all() for values in pool.scores.values())
    path.write_text('{"id": "q0", "prompt": "something else"}\n')
    with pytest.raises(BadInput, match="another prompt under the id 'q0'"):
        score_file(str(path), tmp_path / "w", **options(tiny))


def test_what_does_not_fit(tiny: Path, plain: Path, tmp_path: Path) -> None:
    path = pool_file(tmp_path, 3)
    with pytest.raises(BadInput, match="do not fit the 256 of"):
        score_file(str(path), tmp_path / "a", **options(tiny, max_new_tokens=256))
    with pytest.raises(BadInput, match="has no chat template"):
        score_file(str(path), tmp_path / "b", **options(plain))
    with pytest.raises(BadInput, match="pooling 'max' is unknown"):
        score_file(str(path), tmp_path / "c", **options(tiny, pooling=["max"]))
    with pytest.raises(BadInput, match="backend='tgi' is unknown"):
        score_file(str(path), tmp_path / "d", **options(tiny, backend="tgi"))
    path.write_text('{"prompt": "%s"}\n{"prompt": "short"}\n' % ("word " * 500))
    with pytest.warns(UserWarning, match=r"1 of 2 prompts are longer than 200 tokens \(lines 1\)"):
        score_file(str(path), tmp_path / "e", **options(tiny, max_prompt_tokens=200))
    with pytest.raises(BadInput, match=r"\(line 1\): .* cannot be shortened to 3"):
        score_file(str(path), tmp_path / "f", **options(tiny, max_prompt_tokens=3))


class Nonsense(Scorer):
    name = "nonsense"

    def score(self, prompts: Any, max_new_tokens: int, poolings: Any) -> Scored:
        values = {name: np.full(len(prompts), np.inf) for name in SCORES}
        return Scored(values, ("",) * len(prompts), np.zeros(len(prompts), dtype=bool))


def test_scores_that_are_not_finite_are_refused(tiny: Path, tmp_path: Path) -> None:
    held = load(str(tiny), device="cpu")
    score_file(str(pool_file(tmp_path, 3)), tmp_path / "w", **options(tiny))
    settings = scoring.Settings("m", "", "", "nonsense", "float32", 4, 99, (), 500)
    with PromptWorkspace.open(tmp_path / "w") as workspace:
        with pytest.raises(BadInput, match=r"no finite .* for prompt 'q\d'"):
            scoring.score_pool(workspace, Nonsense(), ChatFormat(held.tokenizer), settings)
        with pytest.raises(BadInput, match="scores of several models"):
            scored_pool(workspace)
        with pytest.raises(BadInput, match="3 of 3 prompts are not scored yet"):
            scored_pool(workspace, "m")
