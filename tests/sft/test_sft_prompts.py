"""Prompts in every shape that people keep them in, and what is wrong with the others."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeltrain.errors import BadInput
from labeltrain.sft.prompts import parsed
from labeltrain.sft.reading import read_prompts

USER = {"role": "user", "content": "Add 1 and 1."}


def texts(source: Any, **options: Any) -> list[list[tuple[str, str]]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = read_prompts(source, **options)
    return [[(m["role"], m["content"]) for m in p.messages] for p in found.prompts]


def lines(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("record", "answer"),
    [
        ({"prompt": "Add 1 and 1."}, None),
        ({"prompt": "Add 1 and 1.", "completion": "2"}, "2"),
        ({"prompt": [USER]}, None),
        ({"prompt": [USER], "completion": [{"role": "assistant", "content": "2"}]}, "2"),
        ({"messages": [USER]}, None),
        ({"messages": [USER, {"role": "assistant", "content": "2"}]}, "2"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": USER["content"]}]}]},
         None),
        ({"instruction": "Add 1 and 1.", "input": "", "output": "2"}, "2"),
        ({"conversations": [{"from": "human", "value": "Add 1 and 1."},
                            {"from": "gpt", "value": "2"}]}, "2"),
    ],
)  # fmt: skip
def test_shapes(record: dict[str, Any], answer: str | None) -> None:
    messages, found, rest = parsed(record)
    assert [dict(m) for m in messages] == [USER]
    assert found == answer
    # No trace of the answer is left anywhere.
    assert "2" not in json.dumps(rest)


def test_parts_of_a_prompt_stay_in_order() -> None:
    record = {"instruction": "Translate.", "input": "oui"}
    assert parsed(record)[0][0]["content"] == "Translate.\n\noui"
    turns = [
        {"role": "system", "content": "Be brief."}, USER,
        {"role": "assistant", "content": "2"}, {"role": "user", "content": "And 2 and 2?"},
        {"role": "assistant", "content": "4"},
    ]  # fmt: skip
    messages, answer, rest = parsed({"messages": turns, "source": "sums"})
    assert [m["role"] for m in messages] == ["system", "user", "assistant", "user"]
    assert (answer, rest) == ("4", {"messages": turns[:4], "source": "sums"})


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({}, "none of the keys"),
        ({"text": "hello"}, "its keys are 'text'"),
        ({"prompt": "  \n"}, "the prompt is empty"),
        ({"prompt": 3}, "expected a list of messages"),
        ({"messages": "hello"}, "expected a list of messages"),
        ({"messages": ["hello"]}, "message 1 of 'messages' is no object"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "role 'robot'"),
        ({"messages": [{"role": "user", "content": None}]}, "NoneType, expected a text"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "more than text"),
        ({"messages": [{"role": "assistant", "content": "2"}]}, "no question"),
        ({"messages": [{"role": "system", "content": "x"}]}, "is empty"),
        ({"messages": [USER, {"role": "user", "content": " "}]}, "last message is empty"),
        ({"prompt": "\ud83d"}, "surrogate"),
    ],
)
def test_what_is_no_prompt_is_named_with_its_line(
    record: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = lines(tmp_path / "p.jsonl", [{"prompt": "good"}, record])
    with pytest.raises(BadInput, match=f"(?s)p.jsonl: line 2: .*{message}"):
        read_prompts(path)
    found = read_prompts(path, skip_bad=True)
    assert (len(found.prompts), [line for line, _ in found.left_out]) == (1, [2])


def test_broken_lines_and_files(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_bytes(b'{"prompt": "a"}\n{"prompt": \n\n[1]\n\xff\n{"prompt": "b\xc3\xa9"}\n')
    with pytest.raises(BadInput, match=r"line 2: no JSON.*line 4: list where.*line 5: no UTF-8"):
        read_prompts(path)
    assert [p.line for p in read_prompts(path, skip_bad=True).prompts] == [1, 6]
    path.write_text("\n\n")
    with pytest.raises(BadInput, match="holds no prompts"):
        read_prompts(path)
    with pytest.raises(BadInput, match="does not exist"):
        read_prompts(tmp_path / "none.jsonl")
    (tmp_path / "p.txt").write_text("hello")
    with pytest.raises(BadInput, match="unknown kind of file"):
        read_prompts(tmp_path / "p.txt")
    (tmp_path / "p.json").write_text('{"prompt": "a"}')
    with pytest.raises(BadInput, match="no list"):
        read_prompts(tmp_path / "p.json")
    (tmp_path / "p.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(BadInput, match="no sound Parquet"):
        read_prompts(tmp_path / "p.parquet")


def test_every_kind_of_file_gives_the_same(tmp_path: Path) -> None:
    import datasets

    rows = [{"prompt": f"question {i}", "task": "ab"[i % 2]} for i in range(5)]
    lines(tmp_path / "p.jsonl", rows)
    (tmp_path / "p.json").write_text(json.dumps(rows))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "p.parquet")
    datasets.Dataset.from_list(rows).save_to_disk(str(tmp_path / "saved"))
    both = datasets.DatasetDict(
        {"train": datasets.Dataset.from_list(rows), "other": datasets.Dataset.from_list(rows[:1])}
    )
    both.save_to_disk(str(tmp_path / "splits"))
    expected = read_prompts(rows)
    for name in ("p.jsonl", "p.json", "p.parquet", "saved", "splits"):
        assert read_prompts(tmp_path / name).prompts == expected.prompts
    assert len(read_prompts(tmp_path / "splits", split="other").prompts) == 1
    with pytest.raises(BadInput, match=r"no split 'odd'(?s:.)*other"):
        read_prompts(tmp_path / "splits", split="odd")
    assert [p.task for p in expected.prompts] == ["a", "b", "a", "b", "a"]


def test_answers_are_taken_out_with_a_warning() -> None:
    rows = [{"prompt": "a", "completion": "secret"}, {"prompt": "b"}]
    with pytest.warns(UserWarning, match="1 of 2 prompts come with an answer"):
        found = read_prompts(rows)
    assert found.answers == ("secret", None)
    assert all("secret" not in json.dumps(p.record) for p in found.prompts)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_prompts(rows, answers="keep")


def test_ids() -> None:
    found = read_prompts([{"prompt": "a"}, {"prompt": "a"}, {"prompt": "b", "id": 7}])
    first, again, given_ = (p.id for p in found.prompts)
    assert (again, given_) == (f"{first}-2", "7")
    assert read_prompts([{"prompt": "a"}]).prompts[0].id == first
    with pytest.raises(BadInput, match=r"ids 'x' are used twice \(lines 2\)"):
        read_prompts([{"prompt": "a", "id": "x"}, {"prompt": "b", "id": "x"}])
    named = read_prompts([{"prompt": "a", "key": "k"}], id_field="key")
    assert named.prompts[0].id == "k"
    with pytest.raises(BadInput, match=r"line 1: there is no 'topic'"):
        read_prompts([{"prompt": "a"}], task_field="topic")


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1))
def test_any_text_survives(some: list[str]) -> None:
    rows = [{"prompt": text} for text in some]
    found = read_prompts(rows, skip_bad=True) if any(t.strip() for t in some) else None
    if found is None:
        return
    kept = [text for text in some if text.strip()]
    assert [p.messages[0]["content"] for p in found.prompts] == kept
    assert len({p.id for p in found.prompts}) == len(kept)


def test_context_and_system_beside_a_question() -> None:
    dolly = {"instruction": "Who?", "context": "It was Ada.", "response": "Ada"}
    assert parsed(dolly)[:2] == (({"role": "user", "content": "Who?\n\nIt was Ada."},), "Ada")
    asked = {"from": "human", "value": "Who?"}
    for record in (
        {"instruction": "Who?", "system": "Be brief."},
        {"conversations": [asked], "system": "Be brief."},
        {"prompt": "Who?", "system_prompt": "Be brief."},
    ):
        messages, _, _ = parsed(record)
        assert messages == (
            {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who?"},
        )  # fmt: skip
    own = {"messages": [{"role": "system", "content": "A"}, {"role": "user", "content": "B"}]}
    assert parsed({**own, "system": "C"})[0][0]["content"] == "A"
    assert "rejected" not in parsed({"prompt": "Who?", "chosen": "a", "rejected": "b"})[2]


def test_half_a_surrogate_anywhere_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    for key in ("id", "task", "note"):
        rows = [{"prompt": "a"}, {"prompt": "b", key: "\ud83d"}]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        with pytest.raises(BadInput, match=r"line 2: .*surrogate"):
            read_prompts(path)


def test_an_id_field_that_no_prompt_has(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no prompt has 'key', which --id-field names"):
        read_prompts([{"prompt": "a", "name": "x"}], id_field="key")
