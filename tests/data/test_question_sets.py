"""Question sets: what is in the pool, and what is held out."""

from __future__ import annotations

import pytest

from labeltrain.data import question_sets
from labeltrain.data.question_sets import Question, split_questions
from labeltrain.errors import BadInput

SIZES = {"asdiv": 30, "boolq": 12, "mmlu": 9}


@pytest.fixture(autouse=True)
def _small_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    def few(task: str) -> list[Question]:
        return [Question(f"{task}-{i}", task, f"{task} {i}?", "a", ("a",)) for i in range(20)][
            : SIZES[task]
        ]

    monkeypatch.setattr(question_sets, "questions", few)


def of(items: list[Question], task: str) -> list[str]:
    return [q.id for q in items if q.task == task]


def test_a_mapping_says_how_many_prompts_of_each() -> None:
    pool, held = split_questions({"asdiv": 3, "boolq": 8}, test=4)
    assert len(of(pool, "asdiv")) == 3
    assert len(of(pool, "boolq")) == 8
    whole, same = split_questions(["asdiv", "boolq"], test=4)
    assert held == same  # whatever the pool: results are compared on the same questions
    assert set(of(pool, "asdiv")) < set(of(whole, "asdiv"))
    assert not {q.id for q in pool} & {q.id for q in held}
    assert (pool, held) == split_questions({"asdiv": 3, "boolq": 8}, test=4)
    assert pool != split_questions({"asdiv": 3, "boolq": 8}, test=4, seed=1)[0]


def test_all_is_drawn_from_without_counts() -> None:
    pool, held = split_questions(["boolq", "mmlu"], prompts=6, test=4)
    assert (len(pool), len(held)) == (6, 8)
    assert len(split_questions(["boolq", "mmlu"], test=4)[0]) == 12 + 9 - 8


def test_more_than_there_are() -> None:
    with pytest.raises(BadInput, match="9 prompts of boolq, which has 8 beside those held out"):
        split_questions({"boolq": 9}, test=4)
    with pytest.raises(BadInput, match="mmlu has 9 questions"):
        split_questions({"mmlu": 1}, test=9)
    with pytest.raises(BadInput, match="14 prompts of 13"):
        split_questions(["boolq", "mmlu"], prompts=14, test=4)
