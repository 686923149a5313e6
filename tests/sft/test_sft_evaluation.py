"""Held-out scores equal plain computations; intervals are those of their kind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from labeltrain.errors import BadInput
from labeltrain.metrics.proportion import binomial_interval
from labeltrain.sft.answer_scores import exact_match, normalised, rouge_l
from labeltrain.sft.evaluation import Evaluation, TestItem, details, evaluate, read_test
from labeltrain.sft.models import LanguageModel, load
from labeltrain.sft.prefill import Prefilled, _alike
from labeltrain.sft.template import ChatFormat


@pytest.fixture(scope="module")
def held(tiny: Path) -> LanguageModel:
    return load(str(tiny), device="cpu", threads=1)


def item(text: str, answer: str, *choices: str, task: str = "t") -> TestItem:
    return TestItem(text, task, ({"role": "user", "content": text},), answer, (answer,), choices)


ITEMS = [
    item("what is the capital of france", "paris"),
    item("say yes or no", "yes", "yes", "no", task="yes or no"),
    item("name a colour please " * 4, "red", "two apples", "red", "blue", task="colours"),
    item("add one", "two apples are there", "two", "two apples are there", task="colours"),
]


def plain_nll(held: LanguageModel, chat: ChatFormat, one: TestItem, answer: str) -> np.ndarray:
    prompt, tokens = chat.with_answer(one.messages, answer)
    tokens = tokens[: tokens.index(held.tokenizer.eos_token_id) + 1]
    with torch.no_grad():
        logits = held.model(torch.tensor([[*prompt.tokens, *tokens]])).logits[0].double()
    logp = torch.log_softmax(logits, -1).numpy()
    start = len(prompt.tokens)
    return np.array([logp[start + j - 1, token] for j, token in enumerate(tokens)])


@pytest.mark.parametrize("batch_tokens", [1, 10_000])
def test_likelihoods_equal_a_plain_computation(held: LanguageModel, batch_tokens: int) -> None:
    chat = ChatFormat(held.tokenizer)
    found = evaluate(held, chat, ITEMS, max_new_tokens=6, batch_tokens=batch_tokens)
    for i, one in enumerate(ITEMS):
        expected = -plain_nll(held, chat, one, one.answer).mean()
        assert found.values["nll"][i] == pytest.approx(expected, abs=1e-5)
        if one.choices:
            sums = [plain_nll(held, chat, one, choice).sum() for choice in one.choices]
            right = one.choices[int(np.argmax(sums))] == one.answer
            assert found.values["choice_accuracy"][i] == float(right)
        else:
            assert np.isnan(found.values["choice_accuracy"][i])
        # What it says itself is not changed by the answers that were tried before.
        tokens = torch.tensor([chat.prompt(one.messages).tokens])
        said = held.model.generate(
            tokens, max_new_tokens=6, do_sample=False, attention_mask=torch.ones_like(tokens)
        )
        assert found.said[i] == held.text(said[0, tokens.shape[1] :].tolist())
        assert found.values["exact_match"][i] == exact_match(found.said[i], one.accepted)


def test_any_number_of_answers_to_a_prompt_equals_one_by_one(held: LanguageModel) -> None:
    chat = ChatFormat(held.tokenizer)
    prompts = [chat.prompt(one.messages).tokens for one in ITEMS[:3]]
    batch = Prefilled(held, prompts)
    rng = np.random.default_rng(0)
    asked = [
        (int(row), tuple(rng.integers(5, 60, size=length).tolist()))
        for row, length in zip(rng.integers(0, 3, 20), [*range(12), *range(8)], strict=True)
    ]
    found = batch.likelihoods(asked)
    for (row, tokens), logp in zip(asked, found, strict=True):
        assert len(logp) == len(tokens)
        if tokens:
            with torch.no_grad():
                logits = held.model(torch.tensor([[*prompts[row], *tokens]])).logits[0].double()
            expected = torch.log_softmax(logits, -1)[len(prompts[row]) - 1 : -1]
            np.testing.assert_allclose(
                logp, expected[torch.arange(len(tokens)), torch.tensor(tokens)], atol=1e-5
            )
    again = batch.likelihoods(asked[::-1])[::-1]
    for one, other in zip(found, again, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    assert [len(one) for one in batch.likelihoods([(0, ()), (1, ())])] == [0, 0]
    assert batch.likelihoods([]) == []


@given(st.lists(st.integers(0, 40), max_size=60), st.integers(1, 9))
def test_groups_of_alike_answers(lengths: list[int], most: int) -> None:
    groups = _alike(lengths, most)
    assert sorted(p for group in groups for p in group) == [p for p, n in enumerate(lengths) if n]
    for group in groups:
        assert 1 <= len(group) <= most
        assert 2 * (lengths[group[-1]] - 1) >= lengths[group[0]] - 1


def test_what_is_not_wanted_is_not_computed(held: LanguageModel) -> None:
    found = evaluate(held, ChatFormat(held.tokenizer), ITEMS, metrics=["nll"])
    assert np.isfinite(found.values["nll"]).all()
    assert np.isnan(found.values["exact_match"]).all()
    assert found.said == ("",) * 4
    with pytest.raises(BadInput, match="metric 'f1' is unknown"):
        evaluate(held, ChatFormat(held.tokenizer), ITEMS, metrics=["f1"])
    with pytest.raises(BadInput, match="nothing to evaluate on"):
        evaluate(held, ChatFormat(held.tokenizer), [])


def made(values: dict[str, list[float]], tasks: list[str]) -> Evaluation:
    nan = np.full(len(tasks), np.nan)
    held = dict.fromkeys(("nll", "exact_match", "rouge_l", "choice_accuracy"), nan)
    held |= {name: np.array(v, dtype=float) for name, v in values.items()}
    return Evaluation(tuple(map(str, range(len(tasks)))), tuple(tasks), held, ("",) * len(tasks),
                      0, 0.0)  # fmt: skip


def test_means_are_over_tasks_and_intervals_of_their_kind() -> None:
    tasks = ["a"] * 8 + ["b"] * 2
    hits = [1, 1, 1, 1, 1, 1, 0, 0, 0, 0]
    nll = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 1.0, 2.0]
    found = made({"exact_match": hits, "nll": nll}, tasks)
    assert found.macro("exact_match") == pytest.approx((0.75 + 0.0) / 2)
    assert np.isnan(found.macro("rouge_l"))
    rows = {(r["task"], r["metric"]): r for r in found.table()}
    share = rows["a", "exact_match"]
    assert (share["low"], share["high"]) == binomial_interval(6, 8)
    assert rows["a", "nll"]["low"] < 4.5 < rows["a", "nll"]["high"]
    both = rows["mean of tasks", "nll"]
    own = np.array([np.var(nll[:8], ddof=1) / 8, np.var(nll[8:], ddof=1) / 2])
    freedom = own.sum() ** 2 / (own[0] ** 2 / 7 + own[1] ** 2 / 1)
    expected = stats.t.ppf(0.975, freedom) * np.sqrt(own.sum()) / 2
    assert both["high"] - both["mean"] == pytest.approx(expected)
    assert ("a", "rouge_l") not in rows
    few = made({"choice_accuracy": [1, 0, 0, 0, 0, 0]}, ["a", "a", "a", "b", "b", "b"]).table()[-1]
    assert 0.0 <= few["low"] < few["mean"] < few["high"] <= 1.0
    alone = made({"nll": [1.0]}, ["a"]).table()
    assert [(r["low"], r["high"]) for r in alone] == [(None, None)] * 2


@pytest.mark.parametrize(
    ("metric", "tasks", "items", "share"),
    [
        ("exact_match", 3, 10, 0.9), ("exact_match", 3, 10, 0.5), ("exact_match", 9, 40, 0.25),
        ("exact_match", 9, 40, 0.02), ("nll", 3, 10, 0.0), ("nll", 9, 40, 0.0),
    ],
)  # fmt: skip
def test_intervals_of_the_mean_of_tasks_cover_it(
    metric: str, tasks: int, items: int, share: float
) -> None:
    rng = np.random.default_rng(0)
    names = [f"task {i}" for i in range(tasks) for _ in range(items)]
    inside = 0
    for _ in range(400):
        if metric == "nll":
            values, truth = rng.gamma(2.0, size=len(names)), 2.0
        else:
            values, truth = (rng.random(len(names)) < share).astype(float), share
        row = made({metric: values.tolist()}, names).table()[-1]
        inside += row["low"] <= truth <= row["high"]
    assert 0.92 <= inside / 400 <= 0.995


def test_intervals_cover_the_truth() -> None:
    rng = np.random.default_rng(0)
    hit = 0
    for _ in range(200):
        values = rng.exponential(size=40)
        row = made({"nll": values.tolist()}, ["a"] * 40).table()[0]
        hit += row["low"] <= 1.0 <= row["high"]
    assert 0.88 <= hit / 200 <= 0.99


@pytest.mark.parametrize(
    ("said", "right", "same"),
    [
        ("Paris", "paris.", True), ("the Eiffel Tower", "Eiffel tower", True),
        ("B. bank", "b bank", True), ("9 apples", "9", False), ("", "paris", False),
        ("?", "?", True), ("?", "!", False), ("a", "A", True),
    ],
)  # fmt: skip
def test_exact_match(said: str, right: str, same: bool) -> None:
    assert exact_match(said, [right]) is same
    assert exact_match(said, ["nothing", right]) is same


def test_normalised_and_rouge() -> None:
    assert normalised("An  apple, a day!") == "apple day"
    for said, right, same in [
        ("bank", "A. bank", False), ("bank", "B. bank", False), ("a bank", "the Bank.", True),
        ("A.", "A", True), ("B)", "b", True), ("-5", "5", False), ("\u22125", "-5", True),
        ("2-3", "2+3", False), ("x - 3", "x + 3", False), ("C++", "C", False), ("3.5", "35", False),
        ("35.", "35", True), ("1,000", "1000", True), ("$5", "5", False), ("50%", "50", False),
        ("semi-detached", "semi detached", True), ("and/or", "and or", True), ("3/4", "34", False),
        ("the", "The", True), ("", "", True), ("?", "!", False),
    ]:  # fmt: skip
        assert exact_match(said, [right]) == same, (said, right)
    assert rouge_l("police killed the gunman", ["police kill the gunman"]) == pytest.approx(0.75)
    assert rouge_l("the gunman kill police", ["police kill the gunman"]) == pytest.approx(0.5)
    assert rouge_l("x", ["y", "x z"]) == pytest.approx(2 / 3)
    assert (rouge_l("", ["a"]), rouge_l("", [""]), rouge_l("a", [])) == (0.0, 1.0, 0.0)


def brute(said: list[str], right: list[str]) -> int:
    """The longest common subsequence, the slow way."""
    if not said or not right:
        return 0
    if said[0] == right[0]:
        return 1 + brute(said[1:], right[1:])
    return max(brute(said[1:], right), brute(said, right[1:]))


def test_rouge_equals_its_slow_twin() -> None:
    rng = np.random.default_rng(1)
    for _ in range(100):
        said, right = (list(rng.choice(list("abc"), rng.integers(1, 8))) for _ in range(2))
        common = brute(said, right)
        p, r = common / len(said), common / len(right)
        expected = 2 * p * r / (p + r) if common else 0.0
        assert rouge_l(" ".join(said), [" ".join(right)]) == pytest.approx(expected)


def test_files_of_held_out_prompts(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    good: dict[str, Any] = {"id": "x", "prompt": "yes?", "answer": "yes", "choices": ["yes", "no"]}
    path.write_text(json.dumps(good) + "\n" + json.dumps(
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
         "task": "letters"}) + "\n")  # fmt: skip
    first, second = read_test(path)
    assert (first.answer, first.choices, first.accepted, first.task) == (
        "yes", ("yes", "no"), ("yes",), "all",
    )  # fmt: skip
    assert (second.answer, second.task) == ("b", "letters")
    path.write_text('{"prompt": "a"}\n')
    with pytest.raises(BadInput, match=r"line 1: .* has no answer"):
        read_test(path)
    path.write_text(json.dumps(good | {"answer": "maybe"}) + "\n")
    with pytest.raises(BadInput, match="'maybe' is none of the choices"):
        read_test(path)


def test_details_have_a_row_an_item(held: LanguageModel) -> None:
    found = evaluate(held, ChatFormat(held.tokenizer), ITEMS[:2], max_new_tokens=4)
    rows = details(found, ITEMS[:2])
    assert [r["id"] for r in rows] == [ITEMS[0].id, ITEMS[1].id]
    assert rows[0]["choice_accuracy"] is None
    json.dumps(rows)
