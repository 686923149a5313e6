"""Reader of the sentences of MITRE ATT&CK: what an attacker did, and the tactics it served."""

from __future__ import annotations

import html
import json
import re
from typing import Any

from labeltrain.assets import ASSETS, fetch
from labeltrain.data.dataset import Dataset
from labeltrain.data.labels import encode_labels

_CITATION = "(Citation:"


def read_attack_tactics() -> Dataset:
    """Read the sentences on how software, groups and campaigns used a technique.

    The labels of a sentence are the tactics of its technique. The few sentences that stand under
    several techniques are one item each, with the tactics of all of these.
    """
    folder = fetch("attack-tactics")

    def read(name: str) -> list[dict[str, Any]]:
        content = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        found: list[dict[str, Any]] = content[name.replace("-", "_")]
        return found

    techniques = {entry["stix_id"]: entry["tactics"] for entry in read("attack-patterns")}
    ids: dict[str, str] = {}
    tactics: dict[str, set[str]] = {}
    several: set[str] = set()
    for entry in read("relationships"):
        if entry["relationship_type"] != "uses" or entry["target_ref"] not in techniques:
            continue
        text = sentence(entry["description"])
        if text in ids:
            several.add(text)
        ids.setdefault(text, entry["stix_id"].removeprefix("relationship--"))
        tactics.setdefault(text, set()).update(techniques[entry["target_ref"]])
    encoded = encode_labels([sorted(t) for t in tactics.values()], [*ids.values()], "ATT&CK")
    asset = ASSETS["attack-tactics"]
    return Dataset(
        name="attack-tactics",
        modality="text",
        items=list(ids),
        ids=tuple(ids.values()),
        kind=encoded.kind,
        classes=encoded.classes,
        labels=encoded.values,
        licence=asset.licence,
        facts={
            "source": f"{asset.package} {asset.version} (PyPI), ATT&CK Enterprise 18.1",
            "labels": "tactics of the technique under which a sentence stands; "
            f"{len(several)} stand under several and have the tactics of all",
            "texts": "the package keeps 200 characters of each; citations and addresses are "
            "taken out",
        },
    )


def sentence(text: str) -> str:
    """Return a description without citations and addresses, as the package cut it.

    Examples
    --------
    >>> sentence("[X](https://a.b/c) uses DNS.(Citation: One May 2020)")
    'X uses DNS.'
    >>> sentence("X uses DNS.(Citation: On...")
    'X uses DNS.'
    >>> sentence("X drops [Y](https://a...")
    'X drops Y...'
    """
    text = re.sub(r"\(Citation:[^)]*\)", "", text)
    text = re.sub(r"\[([^\[\]]*)\]\(http[^)]*\)", r"\1", text)
    open_ = text.rfind("(")
    if text.endswith("...") and open_ > text.rfind(")"):
        tail = text[open_:-3]
        if text[:open_].endswith("]"):
            text = re.sub(r"\[([^\[\]]*)\]$", r"\1", text[:open_]) + "..."
        elif tail.startswith(_CITATION) or _CITATION.startswith(tail):
            text = text[:open_]
    text = re.sub(r"\[([^\[\]]*)\.\.\.$", r"\1...", text)
    text = re.sub(r"<(/?(c(o(de?)?)?)?)?\.\.\.$", "...", text)
    return " ".join(html.unescape(re.sub(r"</?code>", "", text)).split())
