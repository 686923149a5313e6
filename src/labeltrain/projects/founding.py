"""How a project begins: everything is checked and encoded first, and then committed at once."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from labeltrain import data, encoders
from labeltrain.data import Dataset
from labeltrain.data.checks import check_ids
from labeltrain.encoders.augment import refuse_no_views
from labeltrain.encoders.base import check_modality
from labeltrain.encoders.registry import fitting
from labeltrain.errors import BadInput, MissingNeed, StoreDamaged, nearest
from labeltrain.kernels.threads import available_threads
from labeltrain.learners import registry as learners
from labeltrain.learners.base import Learner
from labeltrain.loop import audit
from labeltrain.loop.checks import refuse_unmet_needs
from labeltrain.projects.content import encode, encoded_query, write_contents
from labeltrain.projects.items import write_items
from labeltrain.projects.state import LABELLED
from labeltrain.projects.words import many
from labeltrain.rng import stream
from labeltrain.store import Event, Ledger, Workspace
from labeltrain.store.workspace import LEDGER
from labeltrain.strategies import registry as strategies
from labeltrain.strategies.base import Need
from labeltrain.strategies.rare import refuse_unknown_classes

IMPORTED = "imported"  # the annotator of labels that came with the data
SMALL = 20_000  # items up to which the next batch is there in seconds, whatever the strategy


def found(
    folder: Path,
    source: str | Path | Dataset,
    *,
    classes: Sequence[str],
    encoder: str,
    encoder_options: Mapping[str, Any],
    learner: str,
    learner_options: Mapping[str, Any],
    strategy: str,
    strategy_options: Mapping[str, Any],
    query: Sequence[str],
    views: int,
    audit_share: float,
    seed: int,
    progress: Any,
    data_options: dict[str, Any],
) -> Workspace:
    """Make the workspace of a new project; see :meth:`labeltrain.Project.new`.

    Nothing is committed before the items are encoded. A call that was killed leaves no project
    behind, and the same call again goes on where it was: the encoder's cache holds what was done.
    """
    _refuse_taken(folder)
    audit.check_share(audit_share)
    trained_by = learners.make(learner, learner_options)
    if isinstance(views, bool) or not isinstance(views, int) or views < 0:
        raise BadInput(
            f"views={views!r} is no number of views", "give 0, or 2 for two of each kind"
        )
    texts = texts_of(query)
    if strategy != "auto":
        _refuse_unmet(strategy, trained_by, strategy_options, texts)
    elif strategy_options:
        raise BadInput(
            f"parameters {', '.join(strategy_options)} of a strategy, and none is named",
            "name it: --strategy direct",
        )
    if isinstance(source, Dataset):
        dataset, origin = _checked(source), None
    else:
        dataset, origin = data.load(source, **data_options), _lasting(source)
    if dataset.kind == "multilabel":
        raise BadInput(
            f"{dataset.name} has several labels an item",
            "projects take one class an item; studies (labeltrain run) take several",
        )
    learners.refuse_modality(learner, dataset.modality, learner_options)
    if strategy == "auto":
        strategy = default_for(len(dataset), trained_by)
    names = _classes(classes, dataset)
    refuse_unknown_classes(strategies.make(strategy, strategy_options), names)
    answers = _known_answers(dataset, names)
    name = encoders.default_for(dataset.modality) if encoder == "auto" else encoder
    encoder_made = encoders.make(name, **encoder_options)
    check_modality(encoder_made, dataset, fitting(dataset.modality))
    if encoder_made.whole and not encoder_made.learns and dataset.modality == "text":
        raise BadInput(
            f"the encoder {name!r} encodes all items together, and a project's model must encode "
            "texts that come later",
            "use minilm, or hf:NAME",
        )
    spec: dict[str, Any] = {
        "name": dataset.name,
        "modality": dataset.modality,
        "encoder": name,
        "encoder_options": dict(encoder_options),
        "learner": learner,
        "learner_options": dict(learner_options),
        "strategy": strategy,
        "audit_share": float(audit_share),
        "seed": int(seed),
        "data": origin,
        "data_options": data_options,
    }
    if strategy_options:
        spec["strategy_options"] = dict(strategy_options)
    if texts:
        spec["query"] = texts
        encoded_query(spec, texts)
    if views:
        refuse_no_views(dataset)
        spec["views"] = views
    if trained_by.reads == "items":
        spec["threads"] = available_threads()  # for good: the last bits of a fit depend on it
    arrays = folder / "arrays"
    contents = write_contents(arrays, dataset, trained_by)
    if contents is not None:
        spec["contents"] = contents
    free = np.ones(len(dataset), dtype=bool)
    free[[a["position"] for a in answers]] = False
    order = audit.reserve(np.flatnonzero(free), audit_share, stream(seed, "audit reserve"))
    _, encoded = encode(arrays, spec, dataset, [int(p) for p in order], progress)
    spec["items"] = write_items(arrays, dataset)
    events = [
        Event("", "classes", {"added": names}),
        Event("", "reserved", {"positions": [int(p) for p in order]}),
        encoded,
    ]
    if answers:
        events.append(Event("", "answered", {"answers": answers, "source": dataset.name}))
    return Workspace.create(folder, "project", spec, events)


def _refuse_taken(folder: Path) -> None:
    """Say so at once when the directory cannot be used, before minutes are spent encoding."""
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{folder} is a file", "give a directory")
    if not Workspace.exists(folder):
        return
    try:
        ledger = Ledger(folder / LEDGER, read_only=True)
    except StoreDamaged:
        return  # killed while it was made, or damaged: Workspace.create tells which
    try:
        first = next(iter(ledger.events()), None)
    finally:
        ledger.close()
    if first is not None:
        hint = f"; or go on with it: labeltrain project status {folder}"
        raise BadInput(
            f"{folder} holds a {first.kind} already",
            f"choose another directory{hint if first.kind == 'project' else ''}",
        )


def _checked(dataset: Dataset) -> Dataset:
    """Check a data set that was made by hand."""
    ids = check_ids([str(i) for i in dataset.ids], dataset.name)
    if len(dataset.items) != len(ids) or not ids:
        raise BadInput(
            f"{dataset.name} has {len(dataset.items)} items and {len(ids)} ids",
            "give every item one id, and at least one item",
        )
    if dataset.labels is not None and len(dataset.labels) != len(ids):
        raise BadInput(
            f"{dataset.name} has {len(dataset.labels)} labels for {len(ids)} items",
            "give one an item, -1 where unknown",
        )
    return dataclasses.replace(dataset, ids=ids)


def _lasting(source: str | Path) -> str:
    """Return a name of the data that still holds when the working directory changes."""
    if isinstance(source, str) and (source in data.names() or source.startswith("hf:")):
        return source
    return str(Path(source).expanduser().absolute())


def _known_answers(dataset: Dataset, names: Sequence[str]) -> list[dict[str, Any]]:
    if dataset.labels is None:
        return []
    known = np.flatnonzero(dataset.labels >= 0)
    strange = Counter(dataset.classes[dataset.labels[p]] for p in known)
    for name in names:
        strange.pop(name, None)
    if strange:
        worst = strange.most_common(5)
        close = nearest(worst[0][0], names)
        raise BadInput(
            f"{dataset.name} holds labels that are no class given: "
            + ", ".join(f"{label!r} ({many(count, 'item')})" for label, count in worst),
            (f"did you mean {close!r}? " if close else "")
            + "correct the data, add these classes, or leave the classes out",
        )
    return [
        {
            "position": int(p),
            "id": dataset.ids[p],
            "what": LABELLED,
            "label": dataset.classes[dataset.labels[p]],
            "annotator": IMPORTED,
            "effect": "imported",
        }
        for p in known
    ]


def _classes(given: Sequence[str], dataset: Dataset) -> list[str]:
    if isinstance(given, str):
        raise BadInput(f"classes is the text {given!r}", "give a list of names")
    names = [str(c).strip() for c in given if str(c).strip()] or list(dataset.classes)
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise BadInput(f"class {twice[0]!r} is given twice", "give each class once")
    if len(names) < 2:
        raise BadInput(
            f"{len(names)} class(es) are known: {', '.join(names) or 'none'}",
            "give at least two: --classes a,b",
        )
    for text in (*names, *dataset.ids):
        if not text.isascii():
            writable(text, dataset.name)
    return names


def writable(text: str, where: str) -> str:
    """Return the text, or raise when it holds what no file can hold (half a surrogate pair)."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadInput(
            f"{where}: {text!r} holds a broken character", "write it again as Unicode text"
        ) from error
    return text


def default_for(items: int, learner: Learner) -> str:
    """Return the strategy of a project that names none; docs/strategies.md says why.

    Both were compared on development seeds and confirmed on fresh ones. Networks that read items
    have no out-of-fold predictions, which the first of them needs.
    """
    if items > SMALL:
        return "margin"
    try:
        _refuse_unmet("uherding", learner)
    except MissingNeed:
        return "margin"
    return "uherding"


def _refuse_unmet(
    strategy: str,
    learner: Learner,
    options: Mapping[str, Any] | None = None,
    query: Sequence[str] = (),
) -> None:
    method = strategies.make(strategy, options)
    given = [Need.EMBEDDINGS, *learner.serving(method.needs).gives]
    refuse_unmet_needs(method, learner.name, given + [Need.TARGETS] * bool(query))


def texts_of(query: str | Sequence[str]) -> list[str]:
    """Return the texts of a query: one, or several that take turns."""
    texts = [query] if isinstance(query, str) else list(query)
    for text in texts:
        if not isinstance(text, str) or not text.strip():
            raise BadInput(f"the query {text!r} is no text", "say what is looked for, in words")
        writable(text, "query")
    return texts
