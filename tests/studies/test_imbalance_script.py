"""The script that reads the study of class imbalance."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = [sys.executable, ROOT / "benchmarks" / "imbalance.py"]
SHORT = [10, 20, 30, 40]
LONG = [10, 200, 400]


@pytest.fixture(autouse=True)
def _scripts_are_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


def a_line(name: str, strategy: str, seed: int, labels: list[int], slope: float) -> Any:
    from benchmarks.imbalance import Line

    scores = [0.5 + 0.001 * slope * m + 0.001 * seed for m in labels]
    found = [m // 10 for m in labels]
    return Line(name, strategy, seed, labels, {"balanced_accuracy": scores}, found)


def rivals(seeds: int = 6) -> list[Any]:
    """Margin, badge, galaxy and direct; in macro-F1 direct is two points below badge."""
    from benchmarks.imbalance import Line

    slopes = {"random": 0.1, "margin": 0.2, "badge": 0.4, "galaxy": 0.3, "direct": 0.8}
    macro = {"random": 0.40, "margin": 0.46, "badge": 0.50, "galaxy": 0.47, "direct": 0.48}
    return [
        Line(
            name, strategy, seed, SHORT,
            {
                "balanced_accuracy": [0.5 + 0.001 * slope * m for m in SHORT],
                "macro_f1": [macro[strategy] + 0.001 * (seed % 2) * (strategy == "direct")] * 4,
            },
            [m // 5 for m in SHORT],
            wrong,
        )
        for name, wrong in (("News", False), ("News, noise", True))
        for seed in range(seeds)
        for strategy, slope in slopes.items()
    ]  # fmt: skip


def test_macro_f1_above_the_best_labels_beside_rivals_and_what_was_found() -> None:
    from benchmarks.imbalance import markdown, numbers, tables_of

    tables, macro = tables_of(rivals()), tables_of(rivals(), "macro_f1")
    rows = [row for name in tables for row in numbers(name, tables, macro)]
    (row,) = [
        r for r in rows
        if (r["experiment"], r["strategy"], r["kind"]) == ("News", "direct", "macro_f1")
    ]  # fmt: skip
    assert row["metric"] == "macro_f1"
    gap, low, high = row["against"]["badge"]
    assert gap == pytest.approx(-0.0195)
    assert low < gap < high
    page = "\n".join(markdown(rows))
    assert "| Macro-F1 above the best of margin, badge, galaxy | direct |" in page
    assert f"| News | {100 * gap:+.1f} ({100 * low:.1f} to {100 * high:.1f}) |" in page
    title = "Times fewer labels than badge, for all of its rise"
    assert f"| {title} | margin | galaxy | direct |" in page
    (beside,) = [
        r for r in rows
        if (r["experiment"], r["strategy"], r["kind"]) == ("News", "direct", "badge")
    ]  # fmt: skip
    assert beside["value"] == pytest.approx(2.0)
    assert "2.0 (2.0 to 2.0) |" in page
    found = {r["experiment"]: r["wrong_answers"] for r in rows if r["kind"] == "found"}
    assert found == {"News": False, "News, noise": True}
    blocks = page.strip().split("\n\n")
    (right,) = [block for block in blocks if block.startswith("| Rare items found")]
    (wrong,) = [b for b in blocks if b.startswith("| Answers of rare classes, right or wrong")]
    assert "| News | 8 " in right
    assert "noise" not in right
    assert "| News, noise | 8 " in wrong


def test_curves_that_do_not_say_are_told_by_their_names() -> None:
    from benchmarks.imbalance import Line, tables_of

    def wrong(name: str, said: bool | None = None) -> bool:
        line = Line(name, "random", 0, [1], {"balanced_accuracy": [0.5]}, [1], said)
        return tables_of([line])[name]["random"].wrong

    assert wrong("R8, noise")
    assert wrong("MNIST, annotators")
    assert not wrong("R8")
    assert wrong("R8", said=True)
    assert not wrong("R8, noise", said=False)


def a_study(seeds: int = 6) -> list[Any]:
    """Margin needs a half, direct a tenth of what random needs; entropy never gets there."""
    made = []
    for seed in range(seeds):
        made.append(a_line("News", "random", seed, SHORT, 0.1))
        made.append(a_line("News", "margin", seed, SHORT, 0.2))
        made.append(a_line("News", "direct", seed, SHORT, 1.0))
        made.append(a_line("News", "entropy", seed, SHORT, 0.01))
        made.append(a_line("News, long", "random", seed, LONG, 0.1))
    return made


def test_labels_are_compared_on_the_whole_curve_of_random() -> None:
    from benchmarks.imbalance import numbers, tables_of

    rows = numbers("News", tables_of(a_study()))
    assert numbers("News, long", tables_of(a_study())) == []
    assert tables_of(a_study(), "map") == {}
    found = {(row["strategy"], row["kind"], row.get("share")): row for row in rows}
    whole = found["direct", "random", 1.0]
    assert (whole["at"], whole["labels"]) == (pytest.approx(400), pytest.approx(40))
    assert whole["target"] == pytest.approx(0.5425)
    assert whole["value"] == pytest.approx(10.0)
    assert whole["low"] <= 10.0 <= whole["high"]
    most = found["direct", "random", 0.9]  # of the rise from .501 to .540
    assert (most["at"], most["labels"]) == (pytest.approx(361), pytest.approx(36.1))
    margin = found["margin", "random", 1.0]
    assert margin["censored"] == ["mine"]
    assert margin["value"] == pytest.approx(10.0)  # at most: 400 by the 40 it was given
    assert found["direct", "margin", None]["floor"]  # above the end of margin at once
    assert found["entropy", "margin", None]["censored"] == ["mine"]
    area = found["direct", "area", None]
    assert area["against"]["margin"][0] == pytest.approx(0.001 * 0.8 * 25)
    assert area["end"] == pytest.approx(0.5425)
    assert found["direct", "found", None]["value"] == 4.0


def test_a_curve_that_is_there_at_once_is_a_bound() -> None:
    from benchmarks.imbalance import markdown, numbers, tables_of

    lines = [a_line("News", "random", s, SHORT, 0.1) for s in range(5)]
    lines += [a_line("News", "direct", s, SHORT, 10.0) for s in range(5)]
    rows = numbers("News", tables_of(lines))
    (row,) = [r for r in rows if r["strategy"] == "direct" and r.get("share") == 1.0]
    assert row["floor"]
    assert row["labels"] == 10
    assert row["high"] == np.inf
    page = markdown(rows)
    title = "Times fewer labels than random, for 100% of its rise"
    assert f"| {title} | random's labels | direct |" in page
    assert "| News | 40 | at least 4.0 (4.0 to …) |" in page


def test_the_curve_of_random_goes_on_in_large_batches() -> None:
    from benchmarks.imbalance import _whole, tables_of

    tables = tables_of(a_study())
    whole = _whole(tables["News"]["random"], tables["News, long"]["random"])
    assert whole is not None
    assert whole.labels.tolist() == [*SHORT, 200, 400]
    np.testing.assert_allclose(whole.scores[2], 0.502 + 0.0001 * whole.labels)
    assert _whole(None, None) is None
    assert _whole(tables["News"]["random"], None) is tables["News"]["random"]


def test_few_seeds_have_no_interval() -> None:
    from benchmarks.imbalance import numbers, tables_of

    rows = numbers("News", tables_of(a_study(seeds=3)))
    assert all(row["low"] is None for row in rows if row["kind"] == "random")
    assert all("low" not in row for row in rows if row["kind"] in ("area", "found"))


def test_it_reads_a_study_and_the_curves_that_were_kept(tmp_path: Path) -> None:
    import labeltrain

    common: dict[str, Any] = {
        "imbalance": {"keep": ["3"], "ratio": 0.05},
        "learner_options": {"logit_adjustment": 1.0},
        "oracle": {"noise": 0.1},
        "seed_set": {"size": 10, "examples": {"3": 1}},
    }
    experiments = [
        {"name": "Digits", "strategies": ["random", "direct"], "batch": 10, "rounds": 3, **common},
        {"name": "Digits, long", "strategies": "random", "batch": 50, "rounds": 4, **common},
    ]
    labeltrain.run(
        dataset="digits", seeds=5, metric="balanced_accuracy", experiments=experiments,
        workspace=tmp_path / "w",
    )  # fmt: skip
    kept, picture = tmp_path / "curves.jsonl", tmp_path / "curves.png"
    done = subprocess.run(
        [*SCRIPT, tmp_path / "w", "--curves", kept], capture_output=True, text=True, check=True
    )
    rows = [json.loads(text) for text in done.stdout.splitlines()]
    assert {row["kind"] for row in rows} == {"area", "found", "macro_f1", "random"}
    assert all(row["wrong_answers"] for row in rows if row["kind"] == "found")
    assert {row["metric"] for row in rows if row["kind"] == "macro_f1"} == {"macro_f1"}
    assert {row["share"] for row in rows if row["kind"] == "random"} == {0.75, 0.9, 1.0}
    again = subprocess.run(
        [*SCRIPT, kept, "--plot", picture, "--out", tmp_path / "out.jsonl"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert again.stdout == done.stdout
    assert picture.read_bytes().startswith(b"\x89PNG")
    table = subprocess.run([*SCRIPT, kept, "--table"], capture_output=True, text=True, check=True)
    assert "| Answers of rare classes, right or wrong | random | direct |" in table.stdout
    assert "Rare items found" not in table.stdout
    written = [json.loads(t) for t in (tmp_path / "out.jsonl").read_text().splitlines()]
    kinds = {(row["kind"], row["metric"]) for row in written}
    assert ("macro_f1", "macro_f1") in kinds
    assert ("area", "balanced_accuracy") in kinds
    macro = subprocess.run(
        [*SCRIPT, kept, "--metric", "macro_f1"], capture_output=True, text=True, check=True
    )
    assert macro.stdout != done.stdout
    assert '"kind": "macro_f1"' not in macro.stdout  # it is the metric of all rows then


def test_the_docs_have_the_tables_of_the_curves_that_are_kept() -> None:
    from benchmarks import imbalance

    lines = imbalance.read(ROOT / "studies" / "results" / "imbalance" / "curves.jsonl")
    tables, macro = imbalance.tables_of(lines), imbalance.tables_of(lines, imbalance.MACRO)
    rows = [row for name in tables for row in imbalance.numbers(name, tables, macro)]
    pages = "\n".join(imbalance.markdown(rows)).strip().split("\n\n")
    docs = (ROOT / "docs" / "studies.md").read_text(encoding="utf-8")
    for title, lines_ in {
        "Mean over rounds": 21, "Times fewer labels than random, for 90%": 21,
        "Times fewer labels than margin": 21, "Above the best": 21, "Macro-F1 above the best": 21,
        "Rare items found": 11,
    }.items():  # fmt: skip
        page = next(page for page in pages if page.startswith(f"| {title}"))
        assert page.count("\n") == lines_
        assert page in docs
