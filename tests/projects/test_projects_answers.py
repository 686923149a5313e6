"""Files of answers as people and spreadsheets write them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from labeltrain.errors import BadInput
from labeltrain.projects import Project
from labeltrain.projects.answering import Row, interpret, near_misses, skip_word
from labeltrain.projects.files import read_rows, write_rows

ITEMS = {"a": 0, "b": 1, "007": 2, "12": 3, "x y": 4}


def meant(label: Any, classes: list[str], item: Any = "a", **more: Any) -> tuple[Any, ...]:
    (answer,), new = interpret([Row(1, item, label, "")], classes, ITEMS, "f", **more)
    return answer.id, answer.what, answer.label, new


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("Spam", "Spam"),
        (" spam ", "Spam"),
        ("SPAM", "Spam"),
        ("a, b", "a, b"),
        ("A,  B".replace("  ", " "), "a, b"),
        ("3", "3"),
        (3, "3"),
        (3.0, "3"),
        ("3.0", "3"),
        ("3,0", "3"),
        ("café", "café"),
        ("CAFE\u0301", "café"),
        ("straße", "Straße"),
    ],
)
def test_labels_find_their_class(label: Any, expected: str) -> None:
    classes = ["Spam", "a, b", "3", "café", "Straße"]
    assert meant(label, classes)[1:3] == ("labelled", expected)


@pytest.mark.parametrize("label", ["skip", "SKIP", "don't know", "Don’t  Know", "?", "unsure"])
def test_words_for_skip(label: str) -> None:
    assert meant(label, ["x", "y"])[1] == "skipped"


def test_classes_called_like_words() -> None:
    classes = ["skip", "unknown", "Withdraw"]
    assert meant("skip", classes)[1:3] == ("labelled", "skip")
    assert meant("Unknown", classes)[1:3] == ("labelled", "unknown")
    assert meant("withdraw", classes)[1:3] == ("labelled", "Withdraw")
    assert meant("don't know", classes)[1] == "skipped"
    assert skip_word(classes) == "don't know"
    assert skip_word(["a", "b"]) == "skip"


def test_classes_that_differ_in_case_only() -> None:
    assert meant("us", ["US", "us"])[2] == "us"
    assert meant("US", ["US", "us"])[2] == "US"
    with pytest.raises(BadInput, match="could be 'US' or 'us'"):
        meant("Us", ["US", "us"])


def test_new_classes_only_when_asked() -> None:
    with pytest.raises(BadInput) as refusal:
        meant("spm", ["spam", "ham"])
    assert "row 1, item 'a': 'spm' is not a class" in refusal.value.problem
    assert "did you mean 'spam'?" in refusal.value.remedy
    assert meant("spm", ["spam", "ham"], add_classes=True)[1:] == ("labelled", "spm", ["spm"])
    rows = [Row(1, "a", "Yak", ""), Row(2, "b", "yak", "")]
    answers, new = interpret(rows, ["x"], ITEMS, "f", add_classes=True)
    assert new == ["Yak"]  # once, in the first spelling
    assert [a.label for a in answers] == ["Yak", "Yak"]


@pytest.mark.parametrize(
    ("new", "found"),
    [
        (["postive"], [("postive", "positive")]),
        (["Positive!"], [("Positive!", "positive")]),
        (["negative"], []),
        (["level 3"], []),  # classes may be numbered
        (["undecided", "undecidet"], [("undecidet", "undecided")]),
    ],
)
def test_new_classes_spelt_almost_like_others(new: list[str], found: list[tuple[str, str]]) -> None:
    assert near_misses(new, ["positive", "level 1", "level 2"]) == found


@pytest.mark.parametrize(
    ("given", "found"),
    [("007", "007"), ("7", "007"), (7, "007"), (7.0, "007"), ("7.0", "007"), ("12.0", "12"),
     (12, "12"), (" x y ", "x y")],
)  # fmt: skip
def test_ids_survive_a_spreadsheet(given: Any, found: str) -> None:
    assert meant("x", ["x", "y"], given)[0] == found


def test_an_id_that_could_be_two_items_is_none() -> None:
    with pytest.raises(BadInput, match="not items of this project: '7'"):
        interpret([Row(1, "7", "x", "")], ["x"], {"007": 0, "07": 1}, "f")


def test_unknown_ids_are_named_with_the_nearest() -> None:
    rows = [Row(k, f"item-{k}x", "c", "") for k in range(7)]
    with pytest.raises(BadInput) as refusal:
        interpret(rows, ["c"], {"item-0": 0, "item-1": 1}, "f.csv")
    assert "f.csv: 7 id(s)" in refusal.value.problem
    assert "and 2 more" in refusal.value.problem
    assert "did you mean 'item-0'?" in refusal.value.remedy


def test_contradictions_are_refused_and_repeats_are_not() -> None:
    same = [Row(1, "a", "x", ""), Row(2, "a", "X", ""), Row(3, "a", "y", "Ann")]
    assert len(interpret(same, ["x", "y"], ITEMS, "f")[0]) == 2
    for other in ("y", "skip", "withdraw"):
        with pytest.raises(BadInput, match=r"rows 1 and 2: item 'a' has two different answers"):
            interpret([Row(1, "a", "x", ""), Row(2, "a", other, "")], ["x", "y"], ITEMS, "f")


def test_blank_labels_are_no_answers_and_blank_ids_are_refused() -> None:
    blank = [Row(1, "a", "", ""), Row(2, "b", None, ""), Row(3, "a", float("nan"), ""),
             Row(4, "nobody", "  ", "")]  # fmt: skip
    assert interpret(blank, ["x"], ITEMS, "f") == ([], [])
    with pytest.raises(BadInput, match="row 5: the id is empty"):
        interpret([Row(5, " ", "x", "")], ["x"], ITEMS, "f")


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def told(rows: list[Row]) -> list[tuple[Any, Any, Any]]:
    return [(r.id, r.label, r.annotator) for r in rows]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "id,label\n1,x\n2,y\n"),
        ("a.csv", "\ufeffid;label\r\n1;x\r\n2;y\r\n"),  # Excel, in most of Europe
        ("a.csv", "id\tlabel\n1\tx\n2\ty\n"),
        ("a.tsv", "ID\tLabel\n1\tx\n2\ty\n"),
        ("a.csv", '"label","text","id"\n"x","one, ""two""\nthree","1"\n"y","=1+1","2"\n'),
        ("a.jsonl", '{"id": "1", "label": "x"}\n{"id": "2", "label": "y"}\n'),
        ("a.csv", "Item,Category\n1,x\n2,y\n"),
    ],
)
def test_kinds_of_files(tmp_path: Path, name: str, text: str) -> None:
    rows = read_rows(write(tmp_path / name, text), annotator="me")
    assert told(rows) == [("1", "x", "me"), ("2", "y", "me")]


def test_parquet_and_annotator_column(tmp_path: Path) -> None:
    table = pa.table({"id": [1, 2], "label": [3.0, None], "Annotator": ["Ann", None]})
    pq.write_table(table, tmp_path / "a.parquet")
    rows = read_rows(tmp_path / "a.parquet", annotator="me")
    assert told(rows) == [(1, 3.0, "Ann"), (2, None, "me")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv", b"id,label\n", "a header and no rows"),
        ("a.csv", b"id,text\n1,x\n", "no column 'label' or 'class'"),
        ("a.csv", b"name,label\n1,x\n", "no column 'id' or 'item'"),
        ("a.csv", "id,label\n1,caf\xe9\n".encode("latin-1"), "line 2: byte .* is not utf-8"),
        ("a.csv", b"id,label\n1,x,y\n", "3 cells where the header has 2"),
        ("a.parquet", b"PAR1 nonsense", "no sound Parquet"),
        ("a.jsonl", b"{]\n", "line 1: no JSON"),
        ("a.xlsx", b"PK", "unknown kind of file"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=message) as refusal:
        read_rows(tmp_path / name)
    assert refusal.value.remedy


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="does not exist"):
        read_rows(tmp_path / "absent.csv")
    (tmp_path / "d.csv").mkdir()
    with pytest.raises(BadInput, match="is a directory"):
        read_rows(tmp_path / "d.csv")
    path = write(tmp_path / "a.csv", "id,verdict\n1,x\n")
    assert told(read_rows(path, label_column="verdict"))[0][:2] == ("1", "x")
    with pytest.raises(BadInput, match="did you mean 'verdict'"):
        read_rows(path, label_column="verdct")
    latin = write(tmp_path / "b.csv", "id,label\n1,café\n", "latin-1")
    assert told(read_rows(latin, encoding="latin-1"))[0][1] == "café"
    with pytest.raises(BadInput, match="unknown encoding"):
        read_rows(latin, encoding="latin-99")


TEXTS = ["plain", 'quote " and, comma', "two\nlines\r\nthree", "=HYPERLINK(1)", "@x", "-5", "- no",
         "ünï → 漢字 🙂", "\ttab", "'quoted'", "a\u2028b"]  # fmt: skip


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_files_hold_any_text(tmp_path: Path, suffix: str) -> None:
    rows = [{"id": f"00{k}", "text": t, "label": "ü, x"} for k, t in enumerate(TEXTS)]
    path = tmp_path / f"out{suffix}"
    write_rows(path, rows, ["id", "text", "label"])
    assert told(read_rows(path)) == [(r["id"], "ü, x", "") for r in rows]
    if suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            assert [r["text"] for r in csv.DictReader(file)] == TEXTS
    write_rows(path, rows, ["id", "text", "label"], for_people=True)
    assert len(read_rows(path)) == len(rows)
    if suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            cells = {r["text"] for r in csv.DictReader(file)}
        assert {"'=HYPERLINK(1)", "'@x", "'- no", "-5", "plain"} <= cells


def test_broken_characters_are_replaced(tmp_path: Path) -> None:
    for suffix in (".csv", ".jsonl", ".parquet"):
        path = tmp_path / f"out{suffix}"
        write_rows(path, [{"id": "1", "text": "x\ud800", "label": "y"}], ["id", "text", "label"])
        assert told(read_rows(path)) == [("1", "y", "")]


def test_a_refused_file_changes_nothing(begin: Any, tmp_path: Path) -> None:
    project, _ = begin()
    before = list(project._workspace.events())
    good = "id,label\ni000,ant\n"
    for bad in ("i001,ant2\n", "nobody,ant\n", ",ant\n", "i000,bee\n"):
        path = write(tmp_path / "a.csv", good + bad)
        with pytest.raises(BadInput):
            project.tell(path)
    assert list(project._workspace.events()) == before
    assert project.state.votes == {}
    path = write(tmp_path / "a.csv", good + "i001,\n")
    assert project.tell(path)["new"] == 1


def test_an_export_can_be_told(begin: Any, tmp_path: Path) -> None:
    project, _ = begin()
    project.tell({"i000": "ant", "i001": "bee"}, annotator="Ann")
    project.tell({"i000": "bee", "i001": "?"}, annotator="Bob")
    rows = project.export()
    path = tmp_path / "export.csv"
    write_rows(path, rows, list(rows[0]))
    assert project.tell(path) == {
        "new": 0, "changed": 0, "withdrawn": 0, "skipped": 0, "repeated": 4, "unasked": 0
    }  # fmt: skip
    other, _ = begin()
    assert other.tell(path)["new"] == 3
    assert other.state.labels() == project.state.labels()


def test_texts_of_every_kind_make_the_round_trip(tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "items.jsonl"
    write_rows(path, [{"id": f"00{k}", "text": t} for k, t in enumerate(TEXTS)], ["id", "text"])
    _fake_encoder(monkeypatch, tmp_path / "cache")
    with Project.new(tmp_path / "p", path, classes=["x", "y"], encoder="fake") as project:
        rows = project.next(len(TEXTS))
        write_rows(tmp_path / "todo.csv", [{**r, "label": "x"} for r in rows],
                   ["id", "text", "label"], for_people=True)  # fmt: skip
        assert project.tell(tmp_path / "todo.csv")["new"] == len(TEXTS)
        assert [r["text"] for r in project.export()] == [
            TEXTS[int(r["id"])] for r in project.export()
        ]


def _fake_encoder(monkeypatch: Any, cache: Path) -> None:
    from test_projects_faults import register_fake

    register_fake(monkeypatch)
    monkeypatch.setenv("LABELTRAIN_CACHE", str(cache))
