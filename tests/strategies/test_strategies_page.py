"""docs/strategies.md has every strategy, with what the registry says of it.

`python tests/strategies/test_strategies_page.py` writes the lines that come from the registry.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import labeltrain
from labeltrain.strategies import registry

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
    PAGE.write_text(text, encoding="utf-8")
