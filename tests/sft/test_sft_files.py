"""What annotators get, and what they send back."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labeltrain.errors import BadInput
from labeltrain.sft.answers import answers_of, skipped_of, take_answers
from labeltrain.sft.choosing import choose_in, kept_choice
from labeltrain.sft.exporting import LABELLING_CONFIG, STYLES, export
from labeltrain.sft.importing import read_answers
from labeltrain.sft.reading import read_prompts
from labeltrain.sft.scored_pool import ScoredPool
from labeltrain.sft.selection import Question
from labeltrain.sft.workspace import PromptWorkspace

ODD = 'say "yes", or no;\nor\t=maybe é \U0001f600'
ENDS = {"jsonl": ".jsonl", "csv": ".csv", "argilla": ".json", "label-studio": ".json"}


@pytest.fixture
def workspace(tmp_path: Path) -> Any:
    rows: list[dict[str, Any]] = [{"id": f"p{i}", "prompt": f"{ODD} {i}"} for i in range(6)]
    turns = [
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "hi"}, {"role": "user", "content": "and now?"},
    ]  # fmt: skip
    rows.append({"id": "chat", "messages": turns, "task": "talk"})
    with PromptWorkspace.create(tmp_path / "w", read_prompts(rows), "rows") as held:
        choose_in(held, Question("random", "4", reserve=0.5))
        yield held


def pool() -> ScoredPool:
    scores = {"nll": np.arange(7.0), "mean_entropy": np.full(7, np.nan)}
    none = np.zeros(7, dtype=bool)
    drafts = tuple(f"draft {i}" for i in range(7))
    return ScoredPool("k", {}, scores, drafts, none, none, np.ones(7, int), {}, 0.0, 0.0)


def answered(style: str, path: Path) -> None:
    """Write into an export what its annotators would."""
    if style == "jsonl":
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        for row in rows:
            row["answer"] = f"{ODD} to {row['id']}"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif style == "csv":
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter=";")  # as some programs save
            writer.writeheader()
            writer.writerows({**row, "answer": f"{ODD} to {row['id']}"} for row in rows)
    elif style == "argilla":
        rows = json.loads(path.read_text())
        for row in rows:
            said = {"value": f"{ODD} to {row['id']}", "user_id": "u", "status": "submitted"}
            row["responses"] = {"response": [{"value": "not this", "status": "draft"}, said]}
        path.write_text(json.dumps(rows))
    else:
        rows = json.loads(path.read_text())
        for row in rows:
            part = {"from_name": "response", "to_name": "prompt", "type": "textarea",
                    "value": {"text": [f"{ODD} to {row['data']['prompt_id']}"]}}  # fmt: skip
            row["annotations"] = [{"result": [part], "was_cancelled": False, "completed_by": 3}]
        path.write_text(json.dumps(rows))


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("drafts", [False, True])
def test_there_and_back(
    workspace: PromptWorkspace, tmp_path: Path, style: str, drafts: bool
) -> None:
    out = tmp_path / f"x{ENDS[style]}"
    kept = kept_choice(workspace)
    written = export(workspace, kept, out, style, pool=pool(), drafts=drafts)
    assert written[str(out)] == 4
    ids = [workspace.prompts[p].id for p in kept.positions.tolist()]
    text = out.read_text(encoding="utf-8-sig")
    assert ("draft" in text.replace("draft_", "")) == drafts
    assert take_nothing(style, out)
    answered(style, out)
    given = read_answers(out)
    assert [g.id for g in given] == ids
    assert vars(take_answers(workspace, given, str(out)))["new"] == 4
    assert answers_of(workspace) == {item: f"{ODD} to {item}" for item in ids}
    with pytest.raises(BadInput, match="all 4 prompts of 'random-4' have an answer"):
        export(workspace, kept, out, style)
    assert export(workspace, kept, out, style, answered=True, reserve=True)[str(out)] == 6
    if style in ("jsonl", "csv"):  # with the answers, and what is in reserve only
        told = vars(take_answers(workspace, read_answers(out), str(out)))
        assert (told["same"], told["new"]) == (4, 0)
        assert out.read_text(encoding="utf-8-sig").count("reserve") >= 1


def take_nothing(style: str, path: Path) -> bool:
    """An export that nobody answered holds no answers; drafts are none."""
    return read_answers(path) == []


def test_label_studio_numbers_its_records_anew(workspace: PromptWorkspace, tmp_path: Path) -> None:
    """JSON-MIN and CSV hold what was imported, with the tool's own number as id."""
    kept = kept_choice(workspace)
    export(workspace, kept, tmp_path / "l.json", "label-studio")
    tasks = json.loads((tmp_path / "l.json").read_text())
    small = [
        {**task["data"], "id": number, "response": f"to {task['data']['prompt_id']}"}
        for number, task in enumerate(tasks, start=1)
    ]
    (tmp_path / "min.json").write_text(json.dumps(small))
    with (tmp_path / "min.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(small[0]))
        writer.writeheader()
        writer.writerows(small)
    ids = [workspace.prompts[p].id for p in kept.positions.tolist()]
    for name in ("min.json", "min.csv"):
        given = read_answers(tmp_path / name)
        assert [(g.id, g.answer) for g in given] == [(item, f"to {item}") for item in ids]
    # A file of somebody else's without it: the prompts tell that the ids are not ours.
    others = [{"id": f"p{i}", "prompt": f"{ODD} {i + 1}", "answer": "x"} for i in range(3)]
    (tmp_path / "o.json").write_text(json.dumps(others))
    with pytest.raises(BadInput, match="line 1: 'p0' is another prompt"):
        take_answers(workspace, read_answers(tmp_path / "o.json"), "o.json")


def test_odd_records_of_tools(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"data": {"id": "a"}, "annotations": None},
        {"data": {"id": "b"}, "annotations": [{"result": None}, None]},
        {"id": "c", "fields": {"prompt": "x"}, "responses": None},
        {"id": "d", "fields": {"prompt": "x"}, "responses": [
            {"values": {"response": {"value": "old style"}}, "status": "submitted"}]},
        {"data": {"prompt_id": "e"}, "annotations": [
            {"updated_at": when, "result": [{"from_name": "response", "value": {"text": [said]}}]}
            for when, said in (("2026-02-01", "late"), ("2026-01-01", "early"))]},
        {"data": {"prompt_id": "f"}, "annotations": [
            {"result": [{"from_name": "response", "value": {"text": [""]}}]}]},
    ]  # fmt: skip
    path = tmp_path / "x.json"
    path.write_text(json.dumps(rows))
    found = [(g.id, g.answer) for g in read_answers(path)]
    assert found == [("d", "old style"), ("e", "late")]


def test_long_cells_and_empty_rows_of_a_csv(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "prompt", "answer", "status"])
        writer.writerow(["a", "very long " * 30_000, "yes", ""])
        writer.writerow(["", "", "", ""])
        writer.writerow(["b", "", "", "withdrawn"])
        writer.writerow(["c", "", " Skip ", ""])
    a, b, c = read_answers(path)
    assert (c.id, c.answer, c.withdrawn) == ("c", None, False)
    assert (a.id, a.answer, len(a.prompt)) == ("a", "yes", 300_000)
    assert (b.id, b.answer, b.withdrawn) == ("b", None, True)


def test_what_each_tool_reads(workspace: PromptWorkspace, tmp_path: Path) -> None:
    kept = kept_choice(workspace)
    export(workspace, kept, tmp_path / "a.json", "argilla", pool=pool(), drafts=True)
    record = json.loads((tmp_path / "a.json").read_text())[0]
    assert set(record) == {"id", "fields", "metadata", "suggestions", "responses", "vectors"}
    assert record["suggestions"]["response"]["agent"] == "draft"
    assert "mean_entropy" not in record["metadata"]  # NaN is no JSON
    assert record["metadata"]["rank"] == 1
    written = export(workspace, kept, tmp_path / "l.json", "label-studio", pool=pool(), drafts=True)
    task = json.loads((tmp_path / "l.json").read_text())[0]
    assert task["predictions"][0]["result"][0]["value"]["text"] == [
        pool().drafts[int(kept.positions[0])]
    ]
    assert (tmp_path / "l.xml").read_text() == LABELLING_CONFIG
    assert str(tmp_path / "l.xml") in written
    for name in ("prompt", "response"):
        assert f'name="{name}"' in LABELLING_CONFIG


def test_several_messages_are_told_apart(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"},
             {"role": "user", "content": "and now?"}]  # fmt: skip
    rows = read_prompts([{"id": "c", "messages": turns}])
    with PromptWorkspace.create(tmp_path / "w", rows, "rows") as held:
        choose_in(held, Question("random", "1"))
        export(held, kept_choice(held), tmp_path / "x.csv", "csv")
        export(held, kept_choice(held), tmp_path / "x.jsonl", "jsonl")
    with (tmp_path / "x.csv").open(encoding="utf-8-sig", newline="") as file:
        row = next(csv.DictReader(file))
    assert row["prompt"] == "User: hello\n\nAssistant: hi\n\nUser: and now?"
    assert json.loads((tmp_path / "x.jsonl").read_text())["prompt"] == turns


def test_skips(workspace: PromptWorkspace, tmp_path: Path) -> None:
    rows = [
        {"id": "p0", "status": "skipped", "answer": ""},
        {"id": "p1", "skipped": True, "answer": "x"},
        {"id": "p2", "answer": None}, {"id": "p3", "answer": " "},
    ]  # fmt: skip
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    given = read_answers(path)
    assert [(g.id, g.answer) for g in given] == [("p0", None), ("p1", None)]
    take_answers(workspace, given, "a")
    assert skipped_of(workspace) == {"p0", "p1"}
    told = choose_in(workspace, Question("random", "7"), name="rest")
    assert set(told["ids"]) == {"p2", "p3", "p4", "p5", "chat"}  # nobody can answer the others
    tools = tmp_path / "t.json"
    tools.write_text(json.dumps([
        {"id": "p4", "fields": {}, "responses": {"response": [{"status": "discarded"}]}},
        {"data": {"id": "p5"}, "annotations": [{"was_cancelled": True, "result": []}]},
        {"data": {"id": "p3"}, "annotations": [
            {"was_cancelled": True, "result": []},
            {"result": [{"from_name": "response", "value": {"text": "yes"}}]}]},
    ]))  # fmt: skip
    assert [(g.id, g.answer) for g in read_answers(tools)] == [
        ("p4", None), ("p5", None), ("p3", "yes"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "x", "unknown kind of file"),
        ("a.jsonl", '{"id": "p1"}', "there is no 'answer' or 'response'"),
        ("a.jsonl", '{"answer": "x"}', "there is no 'id'"),
        ("a.jsonl", "{", "line 1: no JSON"),
        ("a.jsonl", "3", "line 1: no object"),
        ("a.json", "{}", "no list of records"),
        ("a.csv", "id,answer\np1,a,b\n", "line 2: more or fewer cells"),
        ("a.csv", "id,answer\np1\n", "line 2: more or fewer cells"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(BadInput, match=message):
        read_answers(tmp_path / name)
    with pytest.raises(BadInput, match="does not exist"):
        read_answers(tmp_path / "none.csv")


def test_exports_that_cannot_be_written(workspace: PromptWorkspace, tmp_path: Path) -> None:
    kept = kept_choice(workspace)
    with pytest.raises(BadInput, match=r"written to \.csv"):
        export(workspace, kept, tmp_path / "x.json", "csv")
    with pytest.raises(BadInput, match="unknown format 'excel'"):
        export(workspace, kept, tmp_path / "x.csv", "excel")
    with pytest.raises(BadInput, match="no drafts"):
        export(workspace, kept, tmp_path / "x.csv", "csv", drafts=True)


def test_other_names_of_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("key,said,annotator\np1,yes,ann\n")
    (found,) = read_answers(path, id_field="key", answer_field="said")
    assert (found.id, found.answer, found.annotator, found.line) == ("p1", "yes", "ann", 2)
    talk = tmp_path / "a.jsonl"
    talk.write_text(json.dumps({"id": "p1", "completion": [{"role": "assistant", "content": "y"}]}))
    assert read_answers(talk)[0].answer == "y"
