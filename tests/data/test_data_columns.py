"""CSV, TSV, JSONL, Parquet: what is read, what is guessed, what is refused and how."""

from __future__ import annotations

import csv
import io
import json
import tempfile
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeltrain.data import Table, load
from labeltrain.errors import BadInput

Write = Callable[[str, str | bytes], Path]

# What a file can hold: no lone surrogates (not UTF-8).
words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)
texts = st.lists(words.filter(lambda word: word.strip()), min_size=1, max_size=12)


def test_csv_with_label_id_and_split(write: Write) -> None:
    path = write(
        "a.csv",
        'id,text,label,split\nx1,one fish,b,train\nx2,"two, fish",a,test\nx3,red fish,,pool\n',
    )
    data = load(path)
    assert (data.modality, data.kind) == ("text", "multiclass")
    assert data.items == ["one fish", "two, fish", "red fish"]
    assert data.ids == ("x1", "x2", "x3")
    assert data.classes == ("a", "b")
    assert data.labels is not None
    assert data.labels.tolist() == [1, 0, -1]
    assert data.test is not None
    assert data.test.tolist() == [1]
    assert data.facts["without a label"] == "1 of 3 items"
    assert load(str(path)).items == data.items


def test_tsv_and_delimiter(write: Write) -> None:
    assert load(write("a.tsv", "text\tlabel\na, b\tx\n")).items == ["a, b"]
    path = write("b.csv", "text;label\na, b;x\n")
    assert load(path, delimiter=";").items == ["a, b"]
    assert load(path).items == ["a, b"]  # found in the header, as spreadsheets write it
    with pytest.raises(BadInput, match=r"option delimiter to '\|'"):
        load(write("c.csv", "text|label\na, b|x\n"))


def test_utf8_byte_order_mark_and_windows_line_ends(write: Write) -> None:
    data = load(write("a.csv", b"\xef\xbb\xbftext,label\r\nna\xc3\xafve,x\r\n"))
    assert data.items == ["na\u00efve"]
    assert data.classes == ("x",)


def test_newlines_inside_quotes_and_blank_lines(write: Write) -> None:
    assert load(write("a.csv", 'text,label\n"a\nb",x\n\n"c",y\n')).items == ["a\nb", "c"]


def test_numeric_class_names_are_in_numeric_order(write: Write) -> None:
    data = load(write("a.csv", "text,label\na,10\nb,9\nc,2\n"))
    assert data.classes == ("2", "9", "10")
    assert data.labels is not None
    assert data.labels.tolist() == [2, 1, 0]


def test_jsonl_with_lists_is_multilabel(write: Write) -> None:
    rows: list[dict[str, Any]] = [
        {"text": "a", "label": ["x", "y"]},
        {"text": "b", "label": []},
        {"text": "c", "label": None},
        {"text": "d", "label": ["y"]},
    ]
    data = load(write("a.jsonl", "\n".join(json.dumps(row) for row in rows) + "\n\n"))
    assert data.kind == "multilabel"
    assert data.labels is not None
    assert data.labels.tolist() == [[1, 1], [0, 0], [-1, -1], [0, 1]]
    assert data.labels.dtype == np.int8


def test_parquet_table_with_missing_cells(tmp_path: Path) -> None:
    table = pa.table(
        {
            "size": [1.5, None, 3.0],
            "count": pa.array([1, 2, None], pa.int64()),
            "flag": [True, False, None],
            "colour": ["red", None, "blue"],
            "target": pa.array([1, 0, None], pa.int8()),
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    data = load(tmp_path / "t.parquet")
    assert data.modality == "table"
    assert isinstance(data.items, Table)
    assert data.items.numeric == ("size", "count", "flag")
    assert data.items.categorical == ("colour",)
    assert np.isnan(data.items.columns["size"][1])
    assert data.items[1]["colour"] == ""
    assert data.classes == ("0", "1")
    assert data.labels is not None
    assert data.labels.tolist() == [1, 0, -1]
    some = load(tmp_path / "t.parquet", columns=["size"])
    assert isinstance(some.items, Table)
    assert some.items.numeric == ("size",)


def test_labels_that_are_whole_floats_are_classes(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a", "b"], "label": [1.0, 2.0]}), tmp_path / "t.parquet")
    assert load(tmp_path / "t.parquet").classes == ("1", "2")
    pq.write_table(pa.table({"text": ["a", "b"], "label": [1.5, 2.0]}), tmp_path / "u.parquet")
    with pytest.raises(BadInput, match=r"item '0' has the label 1.5, which is no class"):
        load(tmp_path / "u.parquet")


def test_csv_table_types(write: Write) -> None:
    data = load(write("a.csv", "n,m,c,class\n1,NA,red,x\n-2.5e3,,1_0,y\n"))
    assert isinstance(data.items, Table)
    assert data.items.numeric == ("n",)
    assert data.items.categorical == ("m", "c")
    assert data.items[1] == {"n": -2500.0, "m": "", "c": "1_0"}
    assert data.items[0:1][0]["n"] == 1.0


def test_csv_of_image_files(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    Image.new("L", (4, 4)).save(tmp_path / "b.png")
    (tmp_path / "t.csv").write_text("file,label\na.png,x\nb.png,y\n")
    data = load(tmp_path / "t.csv")
    assert data.modality == "image"
    assert data.items == [str(tmp_path / "a.png"), str(tmp_path / "b.png")]
    (tmp_path / "u.csv").write_text("where,label\na.png,x\ngone.png,y\n")
    with pytest.raises(BadInput, match=r"1 image files do not exist.*gone.png"):
        load(tmp_path / "u.csv", image_column="where")


def test_the_target_of_a_regression_is_refused(write: Write) -> None:
    rows = "".join(f"{i},{i / 7:.3f}\n" for i in range(40))
    with pytest.raises(BadInput, match=r"mostly different numbers.*\n.*label_column"):
        load(write("a.csv", f"size,target\n{rows}"))
    halves = "".join(f"{i},{i % 4 / 2}\n" for i in range(40))
    assert load(write("b.csv", f"size,target\n{halves}")).classes == ("0.0", "0.5", "1.0", "1.5")


# --- guessing --------------------------------------------------------------------------------


def test_the_only_column_of_sentences_is_the_text(write: Write) -> None:
    rows = "".join(f"{i},this is sentence number {i},c{i % 3}\n" for i in range(30))
    assert load(write("a.csv", f"n,words,kind\n{rows}")).items[0] == "this is sentence number 0"


def test_two_columns_of_sentences_are_ambiguous(write: Write) -> None:
    path = write("a.csv", "left,right\nthe cat sat on the mat,a dog lay on the rug there\n")
    with pytest.raises(BadInput, match=r"'left', 'right' could all be the text.*\n.*text_column"):
        load(path)
    assert load(path, text_column="right").items == ["a dog lay on the rug there"]


def test_two_usual_names_are_ambiguous(write: Write) -> None:
    path = write("a.csv", "text,review,label\na,b,x\n")
    with pytest.raises(BadInput, match="'text', 'review'"):
        load(path)


def test_two_label_columns_are_ambiguous(write: Write) -> None:
    path = write("a.csv", "text,label,category\na,b,x\n")
    with pytest.raises(BadInput, match=r"'label', 'category' could all be meant"):
        load(path)
    assert load(path, label_column="category").classes == ("x",)
    assert load(path, label_column="").kind == "none"


def test_a_table_is_not_made_of_different_strings(write: Write) -> None:
    path = write("a.csv", "name,label\n" + "".join(f"n{i},x\n" for i in range(30)))
    with pytest.raises(BadInput, match="'name' holds mostly different strings; is it the text"):
        load(path)
    assert load(path, text_column="name").modality == "text"
    assert load(path, columns=["name"]).modality == "table"


# --- errors ----------------------------------------------------------------------------------

BROKEN: list[tuple[str, str | bytes, dict[str, Any], str]] = [
    ("a.csv", "", {}, "a.csv is empty"),
    ("a.csv", "\n\n", {}, "a.csv is empty"),
    ("a.csv", "text,label\n", {}, "a header and no rows"),
    ("a.csv", "text,label\na,b\nc\n", {}, "line 3: 1 cells where the header has 2"),
    ("a.csv", 'text,label\n"a\nb",x\nc,d,e\n', {}, "line 4: 3 cells where the header has 2"),
    ("a.csv", 'text,label\na,x\n"never closed,y\n', {}, "row that begins in line 3"),
    ("a.csv", "text,text\na,b\n", {}, "repeats the column 'text'"),
    ("a.csv", "text,label\na,b\n", {"text_column": "txt"}, "no column 'txt'.*\n.*did you mean 'te"),
    ("a.csv", "text,label\na,b\n", {"label_column": "labels"}, "did you mean 'label'"),
    ("a.csv", "text,label\na,b\n", {"columns": ["text", "no"]}, "no column 'no' .option columns"),
    ("a.csv", "text,label\na,b\n", {"columns": "text"}, "give a list of column names"),
    ("a.csv", "text,n\na,1\n", {"columns": ["n"], "text_column": "text"}, "more than one of"),
    ("a.csv", "text,label\na,b\n", {"config": "x"}, "option config does not apply"),
    ("a.csv", "text,label\na,b\n", {"encoding": "utf-99"}, "unknown encoding 'utf-99'"),
    ("a.csv", "text,label\na,b\n", {"delimiter": "::"}, "not one character"),
    ("a.csv", b"text,label\nok,x\ncaf\xe9,x\n", {}, "line 3: byte 19 is not utf-8.*\n.*cp1252"),
    ("a.csv", b"\xef\xbb\xbftext\na\xff\n", {}, "line 2: byte 9 is not utf-8"),
    ("a.csv", "id,text\n1,a\n2,b\n1,c\n", {}, "must be unique; repeated: '1'"),
    ("a.csv", "id,text\n1,a\n,b\n", {}, "positions 1 have no id"),
    ("a.csv", "id,text\nu,a\nv,\nw, \n", {}, "the text of items 'v', 'w' is empty"),
    ("a.csv", "text,split\na,dev\n", {}, "'split' holds 'dev'.*\n.*split_column"),
    ("a.csv", "n,label\n1,a\ninf,b\n", {}, "column 'n' is infinite for items '1'"),
    ("a.csv", "label\na\n", {}, "no column is left"),
    ("a.jsonl", "", {}, "a.jsonl is empty"),
    ("a.jsonl", '{"text": "a"}\n{"text": \n', {}, "line 2: no JSON"),
    ("a.jsonl", '["a"]\n', {}, "line 1: list where an object is expected"),
    ("a.jsonl", '{"text": 3}\n', {"text_column": "text"}, "text of items '0' is not a string"),
    ("a.jsonl", '{"text": "a", "label": ["x"]}\n{"text": "b", "label": "x"}\n', {}, "a list"),
    ("a.jsonl", '{"n": [1]}\n', {}, "cells of column 'n' of items '0' are nested"),
    ("a.parquet", b"PAR1 not really", {}, "no sound Parquet"),
    ("a.xlsx", b"", {}, "suffix .xlsx cannot be read"),
    ("a", b"", {}, "suffix .none. cannot be read"),
]


@pytest.mark.parametrize(("name", "content", "options", "message"), BROKEN)
def test_broken_files_are_named(
    write: Write, name: str, content: str | bytes, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        load(write(name, content), **options)
    assert caught.value.remedy


def test_only_five_items_are_listed(write: Write) -> None:
    path = write("a.csv", "id,text\n" + "".join(f"i{n},\n" for n in range(9)))
    with pytest.raises(BadInput, match="'i0', 'i1', 'i2', 'i3', 'i4' and 4 more"):
        load(path, text_column="text")


def test_another_encoding_can_be_named(write: Write) -> None:
    path = write("a.csv", b"text,label\ncaf\xe9,x\n")
    assert load(path, encoding="latin-1").items == ["caf\u00e9"]


def test_a_very_long_cell_is_no_error(write: Write) -> None:
    assert len(load(write("a.csv", "text,label\n" + "word " * 100_000 + ",x\n")).items[0]) > 400_000


# --- round trips -----------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(texts, st.data())
def test_csv_round_trip(items: list[str], data: st.DataObject) -> None:
    labels = data.draw(st.lists(words, min_size=len(items), max_size=len(items)))
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerow(["text", "label"])
    writer.writerows(zip(items, labels, strict=True))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        path.write_bytes(stream.getvalue().encode())
        check_round_trip(path, items, labels)


@settings(deadline=None, max_examples=60)
@given(texts, st.data())
def test_jsonl_round_trip(items: list[str], data: st.DataObject) -> None:
    labels = data.draw(st.lists(words, min_size=len(items), max_size=len(items)))
    rows = [{"text": t, "label": c} for t, c in zip(items, labels, strict=True)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jsonl"
        path.write_bytes("\n".join(json.dumps(r, ensure_ascii=False) for r in rows).encode())
        check_round_trip(path, items, labels)


def check_round_trip(path: Path, items: list[str], labels: list[str]) -> None:
    loaded = load(path, text_column="text", label_column="label")
    assert list(loaded.items) == items
    codes = [-1] * len(items) if loaded.labels is None else loaded.labels.tolist()
    names = ["" if code < 0 else loaded.classes[code] for code in codes]
    assert names == [unicodedata.normalize("NFC", label.strip()) for label in labels]


def test_utf16_is_named(write: Write) -> None:
    path = write("a.csv", "text,label\nna\u00efve,x\n".encode("utf-16"))
    with pytest.raises(BadInput, match=r"is UTF-16, not utf-8.*\n.*encoding to utf-16"):
        load(path)
    assert load(path, encoding="utf-16").items == ["na\u00efve"]


@pytest.mark.parametrize(
    "options",
    [
        {"columns": ["a", "label"]},
        {"columns": ["a", "id"]},
        {"columns": ["a", "split"]},
        {"text_column": "label"},
        {"text_column": "a", "label_column": "a"},
        {"image_column": "id"},
    ],
)
def test_labels_ids_and_splits_are_no_features(write: Write, options: dict[str, Any]) -> None:
    path = write("a.csv", "id,a,label,split\nx,1,p,train\ny,2,q,test\n")
    with pytest.raises(BadInput, match=r"makes it a feature too.*\n.*set .*_column to ''"):
        load(path, **options)
    data = load(path, columns=["a", "id"], id_column="")
    assert isinstance(data.items, Table)
    assert data.items.numeric == ("a",)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"id": "\ud800", "text": "t", "label": "x"}, "the id of .*item 1: "),
        ({"id": "b", "text": "\ud800", "label": "x"}, "the text of 'item b'"),
        ({"id": "b", "text": "t", "label": "\ud800"}, "the label .* of 'item b'"),
        ({"id": "b", "text": "t", "label": "x", "\ud800": 1}, "the name of 'column "),
        ({"id": "a\nb", "text": "t", "label": "x"}, "line break or a tab"),
        ({"id": "a\tb", "text": "t", "label": "x"}, "line break or a tab"),
    ],
)
def test_what_cannot_be_written_is_refused(write: Write, row: dict[str, Any], message: str) -> None:
    good = {"id": "a", "text": "s", "label": "y"}
    path = write("a.jsonl", f"{json.dumps(good)}\n{json.dumps(row)}\n")
    with pytest.raises(BadInput, match=message) as caught:
        load(path, text_column="text")
    str(caught.value).encode("utf-8")


def test_cells_that_cannot_be_written_are_refused(write: Write) -> None:
    path = write("a.jsonl", json.dumps({"c": "\ud800", "label": "x"}) + "\n")
    with pytest.raises(BadInput, match="the cell in column 'c' of 'item 0'"):
        load(path, columns=["c"])


@pytest.mark.parametrize(
    ("labels", "message"),
    [("1 1.0", "'1' and '1.0'"), ("2.0 2.00 3", "'2.0' and '2.00'"), ("-1 -1.", "'-1' and '-1.'")],
)
def test_one_number_in_two_spellings_is_refused(write: Write, labels: str, message: str) -> None:
    rows = "".join(f"{i},{label}\n" for i, label in enumerate(labels.split()))
    with pytest.raises(BadInput, match=f"{message} are the same number"):
        load(write("a.csv", "x,label\n" + rows))
    lists = [{"text": "t", "label": labels.split()}]
    with pytest.raises(BadInput, match=f"{message} are the same number"):
        load(write("a.jsonl", json.dumps(lists[0])), text_column="text")


def test_similar_labels_stay_classes(write: Write) -> None:
    data = load(write("a.csv", "x,label\n1,1.0\n2,1.1\n3,v1\n4,01\n"))
    assert data.classes == ("01", "1.0", "1.1", "v1")
