"""How well a model answers held-out prompts, per task, with intervals."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labeltrain.errors import BadInput
from labeltrain.metrics.bootstrap import bca_limits
from labeltrain.metrics.proportion import binomial_interval
from labeltrain.sft.answer_scores import exact_match, rouge_l
from labeltrain.sft.models import LanguageModel
from labeltrain.sft.prefill import Prefilled
from labeltrain.sft.prompts import Message
from labeltrain.sft.reading import read_prompts
from labeltrain.sft.scoring import batches
from labeltrain.sft.template import ChatFormat

METRICS = ("nll", "exact_match", "rouge_l", "choice_accuracy")
SHARES = ("exact_match", "choice_accuracy")
LOW_IS_GOOD = ("nll",)


@dataclass(frozen=True)
class TestItem:
    """A held-out prompt with its answer.

    Attributes
    ----------
    id, task : str
    messages : tuple of dict
    answer : str
    accepted : tuple of str
        All answers that count as right.
    choices : tuple of str
        What the answer is chosen from; empty where it is free.
    """

    __test__ = False

    id: str
    task: str
    messages: tuple[Message, ...]
    answer: str
    accepted: tuple[str, ...]
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evaluation:
    """Scores of every item.

    Attributes
    ----------
    ids, tasks : tuple of str, length n
    values : dict of str to ndarray of float64, shape (n,)
        ``nll`` (mean over the answer's tokens), ``exact_match``, ``rouge_l``,
        ``choice_accuracy``; NaN where an item has none.
    said : tuple of str
        The model's answers.
    cut : int
        Prompts that were shortened.
    seconds : float
    """

    ids: tuple[str, ...]
    tasks: tuple[str, ...]
    values: dict[str, np.ndarray]
    said: tuple[str, ...]
    cut: int
    seconds: float

    def macro(self, metric: str) -> float:
        """Return the mean over tasks of the mean over items; NaN where no item has it."""
        means = [m for m in (self._mean(metric, task) for task in self.names) if np.isfinite(m)]
        return float(np.mean(means)) if means else float("nan")

    @property
    def names(self) -> list[str]:
        """The tasks, sorted."""
        return sorted(set(self.tasks))

    def _mean(self, metric: str, task: str) -> float:
        values = self._of(metric, task)
        return float(values.mean()) if len(values) else float("nan")

    def _of(self, metric: str, task: str) -> np.ndarray:
        mine = np.array([t == task for t in self.tasks])
        values = self.values[metric][mine]
        return values[np.isfinite(values)]

    def table(self) -> list[dict[str, Any]]:
        """Return rows of task, metric, items, mean and 95 % interval; the last are of all tasks.

        Intervals are exact binomial ones of shares, else BCa over items; None below two items. That
        over all tasks is of their mean, tasks being what they are: items are drawn anew in each. Of
        shares it counts two hits and two misses more, spread over the tasks (Agresti and Coull),
        else it takes Student's t with Welch's degrees of freedom.
        """
        rows = []
        for metric in METRICS:
            for task in self.names:
                values = self._of(metric, task)
                if len(values):
                    low, high = _interval(metric, values)
                    rows.append(_row(task, metric, len(values), float(values.mean()), low, high))
            count = int(np.isfinite(self.values[metric]).sum())
            if count:
                low, high = self._macro_interval(metric)
                rows.append(_row("mean of tasks", metric, count, self.macro(metric), low, high))
        return rows

    def _macro_interval(self, metric: str) -> tuple[float | None, float | None]:
        parts = [values for values in (self._of(metric, t) for t in self.names) if len(values)]
        if any(len(values) < 2 for values in parts):
            return None, None
        mean = self.macro(metric)
        if metric in SHARES:
            middle, half = _share_of_tasks(parts)
            return min(max(middle - half, 0.0), mean), max(min(middle + half, 1.0), mean)
        half = _half_width(parts)
        if half == 0.0:  # all alike, which says little of items that were not asked
            return None, None
        if metric == "nll":
            return mean - half, mean + half
        return max(mean - half, 0.0), min(mean + half, 1.0)


def _share_of_tasks(parts: Sequence[np.ndarray]) -> tuple[float, float]:
    """Return middle and half width of the interval of a mean of shares."""
    more = 2.0 / len(parts)
    shares = np.array([(v.sum() + more) / (len(v) + 2.0 * more) for v in parts])
    sizes = np.array([len(values) + 2.0 * more for values in parts])
    error = float(np.sqrt((shares * (1.0 - shares) / sizes).sum())) / len(parts)
    return float(shares.mean()), 1.96 * error


def _half_width(parts: Sequence[np.ndarray]) -> float:
    """Return half the width of the interval of a mean of means."""
    from scipy.stats import t

    own = np.array([values.var(ddof=1) / len(values) for values in parts])
    whole = float(own.sum())
    if whole == 0.0:
        return 0.0
    freedom = whole**2 / float(sum(v**2 / (len(p) - 1) for v, p in zip(own, parts, strict=True)))
    return float(t.ppf(0.975, freedom)) * float(np.sqrt(whole)) / len(parts)


def _interval(metric: str, values: np.ndarray) -> tuple[float | None, float | None]:
    if metric in SHARES:
        low, high = binomial_interval(int(values.sum()), len(values))
        return low, high
    if len(values) < 2 or np.ptp(values) == 0:
        return None, None
    rng = np.random.default_rng(0)
    draws = rng.integers(len(values), size=(2000, len(values)))
    limits = bca_limits(float(values.mean()), values[draws].mean(axis=1), _left_out(values))
    return limits.low, limits.high


def _left_out(values: np.ndarray) -> np.ndarray:
    return (values.sum() - values) / (len(values) - 1)


def _row(
    task: str, metric: str, items: int, mean: float, low: float | None, high: float | None
) -> dict[str, Any]:
    return {
        "task": task, "metric": metric, "items": items, "mean": mean, "low": low, "high": high,
    }  # fmt: skip


def read_test(path: Path | str) -> list[TestItem]:
    """Read held-out prompts: as a pool, with ``answer``, and ``accepted`` or ``choices``.

    Raises
    ------
    BadInput
        An item without an answer, or whose answer is none of its choices.
    """
    file = read_prompts(path, answers="keep")
    items = []
    for prompt, answer in zip(file.prompts, file.answers, strict=True):
        if answer is None or not answer.strip():
            raise BadInput(
                f"{path}, line {prompt.line}: {prompt.id!r} has no answer",
                "held-out prompts need one, under answer, completion or the last message",
            )
        choices = tuple(str(c) for c in prompt.record.get("choices") or ())
        if choices and answer not in choices:
            raise BadInput(
                f"{path}, line {prompt.line}: the answer {answer!r} is none of the choices",
                "write it as one of them",
            )
        accepted = tuple(str(a) for a in prompt.record.get("accepted") or ())
        items.append(
            TestItem(
                prompt.id,
                prompt.task or "all",
                prompt.messages,
                answer,
                tuple(dict.fromkeys((answer, *accepted))),
                choices,
            )
        )
    return items


def evaluate(
    held: LanguageModel,
    chat: ChatFormat,
    items: Sequence[TestItem],
    *,
    metrics: Iterable[str] = METRICS,
    max_new_tokens: int = 64,
    batch_tokens: int = 8192,
    progress: Callable[[float, float], None] | None = None,
) -> Evaluation:
    """Score a model on held-out prompts; each prompt is read once for all metrics.

    Parameters
    ----------
    held : LanguageModel
    chat : ChatFormat
    items : sequence of TestItem
    metrics : iterable of str
        Of :data:`METRICS`. ``choice_accuracy``: the choice with the largest likelihood as a whole
        is the answer; ties go to the first.
    max_new_tokens : int
        Of the model's own answers, which ``exact_match`` and ``rouge_l`` are of.
    batch_tokens : int
    progress : callable, optional

    Raises
    ------
    BadInput
        Unknown metric, no items.
    """
    started = time.perf_counter()
    wanted = list(metrics)
    for metric in wanted:
        if metric not in METRICS:
            raise BadInput(f"metric {metric!r} is unknown", f"known: {', '.join(METRICS)}")
    if not items:
        raise BadInput("there is nothing to evaluate on", "give held-out prompts with answers")
    rendered = [chat.with_answer(item.messages, item.answer) for item in items]
    values = {metric: np.full(len(items), np.nan) for metric in METRICS}
    said = [""] * len(items)
    order = sorted(range(len(items)), key=lambda i: (-len(rendered[i][0].tokens), i))
    done = 0
    lengths = [len(rendered[i][0].tokens) for i in order]
    for places in batches(lengths, max_new_tokens, batch_tokens):
        rows = [order[place] for place in places]
        batch = Prefilled(held, [rendered[i][0].tokens for i in rows])
        if "nll" in wanted or "choice_accuracy" in wanted:
            choices = "choice_accuracy" in wanted
            likely = _likelihoods(batch, chat, held, [items[i] for i in rows], choices=choices)
            for i, of in zip(rows, likely, strict=True):
                if "nll" in wanted:
                    values["nll"][i] = -float(of[items[i].answer].mean())
                if choices and items[i].choices:
                    best = max(items[i].choices, key=lambda choice: of[choice].sum())
                    values["choice_accuracy"][i] = best == items[i].answer
        if "exact_match" in wanted or "rouge_l" in wanted:
            answers, _ = batch.greedy(max_new_tokens)
            for i, answer in zip(rows, answers, strict=True):
                said[i] = held.text(answer)
                if "exact_match" in wanted:
                    values["exact_match"][i] = exact_match(said[i], items[i].accepted)
                if "rouge_l" in wanted:
                    values["rouge_l"][i] = rouge_l(said[i], items[i].accepted)
        done += len(rows)
        if progress is not None:
            progress(float(done), float(len(items)))
    return Evaluation(
        tuple(item.id for item in items),
        tuple(item.task for item in items),
        {metric: values[metric] for metric in METRICS},
        tuple(said),
        sum(prompt.cut for prompt, _ in rendered),
        time.perf_counter() - started,
    )


def _said_tokens(held: LanguageModel, tokens: tuple[int, ...]) -> tuple[int, ...]:
    """Return an answer up to its end mark: what a template writes after it nobody says."""
    for place, token in enumerate(tokens):
        if token in held.ends:
            return tokens[: place + 1]
    return tokens


def _likelihoods(
    batch: Prefilled,
    chat: ChatFormat,
    held: LanguageModel,
    items: Sequence[TestItem],
    *,
    choices: bool,
) -> list[dict[str, np.ndarray]]:
    """Return the log-probabilities of the answer's tokens, and of those of each choice."""
    texts = [dict.fromkeys([one.answer, *(one.choices if choices else ())]) for one in items]
    asked = [(row, text) for row, some in enumerate(texts) for text in some]
    tokens = [
        (row, _said_tokens(held, chat.with_answer(items[row].messages, text)[1]))
        for row, text in asked
    ]
    found: list[dict[str, np.ndarray]] = [{} for _ in items]
    for (row, text), logp in zip(asked, batch.likelihoods(tokens), strict=True):
        found[row][text] = logp
    return found


def details(evaluation: Evaluation, items: Sequence[TestItem]) -> list[dict[str, Any]]:
    """Return one row an item: what was asked for, what was said, and its scores."""
    rows = []
    for i, item in enumerate(items):
        row: dict[str, Any] = {
            "id": item.id,
            "task": item.task,
            "answer": item.answer,
            "said": evaluation.said[i],
        }
        for metric, values in evaluation.values.items():
            row[metric] = float(values[i]) if np.isfinite(values[i]) else None
        rows.append(row)
    return rows


def to_lines(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Return rows as JSONL."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
