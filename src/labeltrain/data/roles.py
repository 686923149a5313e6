"""Which column is the text, the label, the id: from columns to a Dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from labeltrain.data.checks import check_ids, check_texts, check_utf8, missing_column, some
from labeltrain.data.dataset import Dataset
from labeltrain.data.images import SUFFIXES, check_headers
from labeltrain.data.labels import Labels, encode_labels
from labeltrain.data.readers import Columns
from labeltrain.data.table import Table, typed_column
from labeltrain.errors import BadInput

TEXT_NAMES = [
    "text",
    "content",
    "sentence",
    "document",
    "body",
    "review",
    "tweet",
    "message",
    "comment",
    "question",
    "prompt",
]
IMAGE_NAMES = ("image", "image_path", "img", "picture", "path", "file", "filename", "file_name")
LABEL_NAMES = ("label", "class", "category", "target", "y")
ID_NAMES = ("id", "item_id")


@dataclass(frozen=True)
class Roles:
    """The columns a user has named; None means: find it, "" means: there is none."""

    text_column: str | None = None
    label_column: str | None = None
    id_column: str | None = None
    image_column: str | None = None
    split_column: str | None = None
    columns: Sequence[str] | None = None


def from_columns(source: Columns, roles: Roles) -> Dataset:
    """Build a Dataset from columns.

    Parameters
    ----------
    source : Columns
    roles : Roles
        What is not named is found by its name (see the module's lists), or, for text, by being
        the only column of long strings.

    Returns
    -------
    Dataset
        Modality "text" or "image" if there is such a column, else "table" of the other columns.

    Raises
    ------
    BadInput
        A named column is missing, nothing can be found unambiguously, or items are empty.
    """
    named = [c for c in (roles.text_column, roles.image_column, roles.columns) if c]
    if len(named) > 1:
        raise BadInput(
            "more than one of text_column, image_column and columns is given", "give one of them"
        )
    names = list(source.values)
    check_utf8(names, [f"column {name}" for name in names], source.where, "name")
    _check_named(source, roles)
    roles = replace(
        roles,
        label_column=_find(source, roles.label_column, LABEL_NAMES),
        id_column=_find(source, roles.id_column, ID_NAMES),
        split_column=_find(source, roles.split_column, ("split",)),
    )
    _refuse_leaks(source, roles)
    ids = _ids(source, roles.id_column)
    test = _test(source, roles.split_column)
    others = _others(source, roles)
    labels = Labels()
    if roles.label_column:
        classes = source.classes.get(roles.label_column)
        labels = encode_labels(
            source.values[roles.label_column], ids, source.where, classes=classes
        )
    text, image = _text_or_image(source, roles, others)
    items: Any
    if text:
        modality, items = "text", check_texts(source.values[text], ids, source.where)
    elif image:
        modality, items = "image", _paths(source, image, ids)
    else:
        modality, items = "table", _table(source, roles, others, ids)
    unlabelled = 0
    if labels.values is not None:
        unlabelled = int((labels.values.reshape(len(ids), -1) < 0).any(axis=1).sum())
    facts = {**source.facts, "columns": _summary(text or image or "", roles)}
    if unlabelled:
        facts["without a label"] = f"{unlabelled} of {len(ids)} items"
    return Dataset(
        name=source.where,
        modality=modality,  # type: ignore[arg-type]
        items=items,
        ids=ids,
        kind=labels.kind,
        classes=labels.classes,
        labels=labels.values,
        test=test,
        facts=facts,
    )


def _check_named(source: Columns, roles: Roles) -> None:
    known = list(source.values)
    for option in ("text_column", "label_column", "id_column", "image_column", "split_column"):
        name = getattr(roles, option)
        if name and name not in source.values:
            raise missing_column(name, known, source.where, option)
    for name in roles.columns or ():
        if name not in source.values:
            raise missing_column(name, known, source.where, "columns")


def _find(source: Columns, given: str | None, usual: Sequence[str]) -> str:
    """Return the column given, the only one with a usual name, or ""."""
    if given is not None:
        return given
    found = [name for name in source.values if name.lower() in usual]
    if len(found) > 1:
        raise BadInput(
            f"{source.where}: the columns {some(found)} could all be meant",
            "name the one to use (label_column, id_column, text_column or image_column)",
        )
    return found[0] if found else ""


def _refuse_leaks(source: Columns, roles: Roles) -> None:
    """Refuse to learn from the label, the id or the split: it would give the answer away."""
    for role in ("label_column", "id_column", "split_column"):
        name = getattr(roles, role)
        for option in ("text_column", "image_column", "columns"):
            given = getattr(roles, option) or ()
            if name and name in ([given] if isinstance(given, str) else given):
                raise BadInput(
                    f"{source.where}: the column {name!r} is the {role.partition('_')[0]} "
                    f"({role}), and {option} makes it a feature too",
                    f"leave it out of {option}; or, if it is not the {role.partition('_')[0]}, "
                    f"name another {role}, or set {role} to ''",
                )


def _others(source: Columns, roles: Roles) -> list[str]:
    taken = {roles.label_column, roles.id_column, roles.split_column}
    # "" says that there are no labels to use; a column of labels is still no feature.
    taken |= {n for n in source.values if roles.label_column == "" and n.lower() in LABEL_NAMES}
    return [name for name in source.values if name not in taken]


def _ids(source: Columns, column: str | None) -> tuple[str, ...]:
    if not column:
        return tuple(str(i) for i in range(len(source)))
    values = ["" if value is None else str(value).strip() for value in source.values[column]]
    return check_ids(values, source.where)


def _test(source: Columns, column: str | None) -> np.ndarray | None:
    if not column:
        if source.test_from is None:
            return None
        return np.arange(source.test_from, len(source), dtype=np.int64)
    values = [str(value).strip().lower() for value in source.values[column]]
    strange = sorted(set(values) - {"train", "pool", "test"})
    if strange:
        raise BadInput(
            f"{source.where}: the column {column!r} holds {some(strange)}",
            "use train (or pool) and test, or set split_column to '' to ignore the column",
        )
    return np.array([i for i, value in enumerate(values) if value == "test"], dtype=np.int64)


def _text_or_image(source: Columns, roles: Roles, others: list[str]) -> tuple[str, str]:
    if roles.text_column or roles.image_column or roles.columns:
        return roles.text_column or "", roles.image_column or ""
    if roles.image_column is None:
        images = [name for name in others if _holds_images(source, name)]
        if len(images) == 1:
            return "", images[0]
        if images:
            raise _ambiguous(source, "image", images)
    if roles.text_column == "":
        return "", ""
    words = [name for name in others if _holds_words(source.values[name])]
    usual = [name for name in words if name.lower() in TEXT_NAMES]
    likely = usual or [name for name in words if _holds_sentences(source.values[name])]
    if len(likely) > 1:
        raise _ambiguous(source, "text", likely)
    return (likely[0] if likely else ""), ""


def _ambiguous(source: Columns, role: str, found: list[str]) -> BadInput:
    return BadInput(
        f"{source.where}: the columns {some(found)} could all be the {role}",
        f"name one with {role}_column; columns: {', '.join(source.values)}",
    )


def _holds_images(source: Columns, name: str) -> bool:
    if name in source.pictures:
        return True
    if name.lower() not in IMAGE_NAMES:
        return False
    values = [value for value in source.values[name] if value]
    return bool(values) and all(
        isinstance(value, str) and Path(value).suffix.lower() in SUFFIXES for value in values
    )


def _holds_words(values: list[Any]) -> bool:
    """Tell whether a column holds strings that are not all numbers."""
    present = [value for value in values if value is not None and value != ""]
    if not present or not all(isinstance(value, str) for value in present):
        return False
    return any(not _is_number(value) for value in present)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _holds_sentences(values: list[Any]) -> bool:
    """Tell whether strings read as sentences: long, of several words, mostly different."""
    present = [value for value in values if value]
    letters = sum(map(len, present)) / len(present)
    words = sum(len(value.split()) for value in present) / len(present)
    return letters >= 20 and words >= 3 and _mostly_different(present)


def _mostly_different(values: list[str]) -> bool:
    return len(set(values)) > len(values) / 2


def _paths(source: Columns, column: str, ids: tuple[str, ...]) -> list[str]:
    folder = source.folder or Path()
    empty = [ids[i] for i, value in enumerate(source.values[column]) if not value]
    if empty:
        raise BadInput(
            f"{source.where}: items {some(empty)} name no image file",
            "remove these items or fill in their paths",
        )
    paths = [str((folder / str(value)).absolute()) for value in source.values[column]]
    absent = [path for path in paths if not Path(path).is_file()]
    if absent:
        raise BadInput(
            f"{source.where}: {len(absent)} image files do not exist: {some(absent)}",
            "write paths relative to the folder of this file, or absolute ones",
        )
    check_headers(paths, source.where)
    return paths


def _table(source: Columns, roles: Roles, others: list[str], ids: tuple[str, ...]) -> Table:
    chosen = list(roles.columns) if roles.columns else others
    if not chosen:
        raise BadInput(
            f"{source.where}: no column is left to learn from",
            f"name text_column, image_column or columns; columns: {', '.join(source.values)}",
        )
    table = Table(
        {name: typed_column(source.values[name], name, ids, source.where) for name in chosen}
    )
    if not roles.columns:
        for name in table.categorical:
            present = [word for word in table.columns[name] if word]
            if len(present) >= 20 and _mostly_different(present):
                raise BadInput(
                    f"{source.where}: the column {name!r} holds mostly different strings; is it "
                    "the text?",
                    f"set text_column to {name!r}, or list the columns of the table with columns; "
                    f"columns: {', '.join(source.values)}",
                )
    return table


def _summary(items: str, roles: Roles) -> str:
    parts = {"items": items, "label": roles.label_column, "id": roles.id_column}
    return ", ".join(f"{role} {name!r}" for role, name in parts.items() if name) or "all"
