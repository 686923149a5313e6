"""docs/strategies.md has every strategy, with what the registry says of it.

`python tests/strategies/test_strategies_page.py` writes the lines that come from the registry,
and the table of the ranking study.
"""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import labeltrain
from labeltrain.strategies import registry

NUMBERS = Path(__file__).parents[2] / "studies" / "results" / "strategies" / "numbers.json"
LEVELS = ("low", "middle", "high")
BEGIN, END = "<!-- ranking -->\n", "<!-- end of ranking -->\n"
PAGE = Path(__file__).parents[2] / "docs" / "strategies.md"
CARDS = {card["name"]: card for card in labeltrain.strategies()}


def facts(card: dict[str, Any]) -> str:
    """Return the lines of a section that come from the registry."""
    strategy = registry.get(card["name"])
    needs = ", ".join(f"`{need}`" for need in card["needs"]) or "nothing"
    if hasattr(strategy, "part"):
        needs += ", and what the strategy inside reads"
    laws = [law for law in ("deterministic", "nested") if card[law]]
    if card["sequential"]:
        laws.append("sequential")
    return (
        f"*{card['summary']}*\n\n"
        f"- **Reads** {needs}.\n"
        f"- **Data** {' and '.join(card['kinds'])}.\n"
        f"- **Laws** {', '.join(laws) or 'none declared; same seed, same picks'}.\n"
    )


def ranking() -> str:
    """Return the table of the ranking study: every strategy at every level, over its data sets."""
    experiments = json.loads(NUMBERS.read_text(encoding="utf-8"))["experiments"]
    found: dict[str, list[tuple[float, float, int, int]]] = {}
    for level in LEVELS:
        mine = [e for e in experiments if e["experiment"].endswith(f" {level}")]
        rows = [{s["name"]: s for s in e["strategies"]} for e in mine]
        for name in rows[0]:
            tests = [row[name]["comparison"] for row in rows]
            sure = [t for t in tests if t and t["p_holm"] is not None and t["p_holm"] < 0.05]
            found.setdefault(name, []).append(
                (
                    float(np.mean([row[name]["rank"] for row in rows])),
                    100.0 * float(np.mean([t["difference"] if t else 0.0 for t in tests])),
                    sum(t["difference"] > 0 for t in sure),
                    sum(t["difference"] < 0 for t in sure),
                )
            )
    lines = [f"| strategy | {' | '.join(LEVELS)} |", "|---|---|---|---|"]
    for name in sorted(found, key=lambda n: sum(cell[0] for cell in found[n])):
        cells = [f"{rank:.1f} / {gain:+.1f} / {up}:{down}" for rank, gain, up, down in found[name]]
        if name == "random":
            cells = [f"{cell[0]:.1f}" for cell in found[name]]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def test_the_ranking_is_that_of_the_committed_result() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text.split(BEGIN)[1].split(END)[0] == ranking()


def sections(text: str) -> dict[str, str]:
    """Return the text under each heading of a strategy."""
    parts = re.split(r"^### `([a-z-]+)`\n", text, flags=re.M)
    return {
        name: re.split(r"^##? ", body, flags=re.M)[0]
        for name, body in zip(parts[1::2], parts[2::2], strict=True)
    }


def test_every_strategy_and_no_other_has_a_section() -> None:
    found = re.findall(r"^### `([a-z-]+)`$", PAGE.read_text(encoding="utf-8"), re.M)
    assert sorted(found) == sorted(CARDS)


@pytest.mark.parametrize("name", CARDS)
def test_a_section_says_what_the_registry_says(name: str) -> None:
    body = sections(PAGE.read_text(encoding="utf-8"))[name]
    assert facts(CARDS[name]) in body, "python tests/strategies/test_strategies_page.py"
    for line in ("Use", "Cost", "Paper"):
        assert re.search(rf"^- \*\*{line}\*\* \S", body, re.M), f"no line on {line}"
    cited = re.search(r"References\n\s+-+\n\s+(\w+)", inspect.getdoc(registry.get(name)) or "")
    if cited:
        assert cited.group(1) in body


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    for card in CARDS.values():
        pattern = (
            rf"(### `{card['name']}`\n)(?:\*.*\*\n\n- \*\*Reads.*\n- \*\*Data.*\n- \*\*Laws.*\n)?"
        )
        text = re.sub(pattern, lambda found, c=card: found.group(1) + facts(c), text)
    before, rest = text.split(BEGIN)
    text = before + BEGIN + ranking() + END + rest.split(END)[1]
    PAGE.write_text(text, encoding="utf-8")
