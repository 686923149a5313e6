"""The page of a study, and its pictures beside it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from labeltrain.errors import StoreUnwritable
from labeltrain.multitask.page import ReportFiles
from labeltrain.multitask.spec import ALONE, BASELINE
from labeltrain.multitask.study.figures import budgets_figure, gains_figure, transfer_figure
from labeltrain.multitask.study.results import StudyResults
from labeltrain.multitask.study.summary import (
    FACTORS,
    MethodAtBudget,
    StudySummary,
    summarise_study,
    worst_and_best,
)
from labeltrain.multitask.study.words import by_factor, study_rows, study_sentences, thousandths
from labeltrain.report.draw import png, svg
from labeltrain.report.markup import Cell, Row, bullets, definitions, facts, paragraph, table, text
from labeltrain.report.style import STYLE
from labeltrain.report.words import seconds_text, signed
from labeltrain.store.files import replace_bytes

DEFINITIONS = (
    (
        "Gain",
        "Uniform's mean squared error on the target's test items minus the method's, both with the "
        "same labelled target samples, test items, dimension and order of samples of each task; a "
        "mean over seeds. Above 0: the method is better.",
    ),
    (
        "Wins",
        "Targets with a gain above 0, seeds averaged first; single seeds have fewer where a gain "
        "is real. With no difference it would be half of them.",
    ),
    (
        "Minus uniform's",
        "Mean over targets of the mean squared error minus uniform's: below 0 is better. 95 % "
        "interval by the bootstrap (BCa), targets resampled. Targets are not independent: they "
        "share images or items, test items and seeds, so it speaks of these data and seeds.",
    ),
    (
        "Over seeds",
        "95 % interval of the same mean, Student's t over seeds; each seed draws its own split, "
        "labelled target samples and order.",
    ),
    (
        "Mixed",
        "Share of what relevance would decide that is drawn of all tasks alike after the first "
        "epoch, by the mean: high where heads are too noisy.",
    ),
    (
        "Correlation",
        "Spearman's rank correlation, over targets, of the gain with something else. It says what "
        "goes with a gain, not what causes it.",
    ),
    *((name.capitalize(), what[0].upper() + what[1:] + ".") for name, what in FACTORS.items()),
)


def write_study_page(results: StudyResults, out: str | Path) -> ReportFiles:
    """Write ``report.html`` and its pictures into a folder.

    Parameters
    ----------
    results : StudyResults
        May be partial; the page says so.
    out : path
        Made if it does not exist.

    Returns
    -------
    ReportFiles

    Raises
    ------
    StoreUnwritable
        If the folder or a file cannot be written.
    """
    out = Path(out)
    summary = summarise_study(results)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreUnwritable(
            f"cannot make the folder {out}: {error}", "choose a folder you can write to"
        ) from error
    figures = _figures(summary)
    pngs = tuple(png(figure, out / f"{name}.png") for name, (figure, _) in figures.items())
    pictures = [svg(figure, told) for figure, told in figures.values()]
    html = out / "report.html"
    replace_bytes(html, _page(summary, pictures).encode())
    return ReportFiles(html, pngs)


def _compared(summary: StudySummary) -> list[MethodAtBudget]:
    """Return the methods that look at relevance, at the largest budget."""
    last = summary.results.spec.budgets[-1]
    return [
        m for m in summary.methods
        if m.budget == last and m.title not in (BASELINE, ALONE) and m.difference is not None
    ]  # fmt: skip


def _figures(summary: StudySummary) -> dict[str, tuple[object, str]]:
    own = _compared(summary)
    found: dict[str, tuple[object, str]] = {}
    if own:
        found["budgets"] = (budgets_figure(summary), "Mean gain over uniform by budget")
    for number, method in enumerate(own, start=1):
        found[f"gains-{number}"] = (
            gains_figure(summary, method), f"Gain of {method.title} on every target"
        )  # fmt: skip
    alone = summary.of(ALONE, summary.results.spec.budgets[-1])
    if alone is not None:
        found["target-only"] = (
            gains_figure(summary, alone), "Gain of target-only over uniform on every target"
        )  # fmt: skip
        if own:
            found["transfer"] = (
                transfer_figure(summary, own[0], alone), "Gain against the worth of sources"
            )  # fmt: skip
    return found


def _page(summary: StudySummary, pictures: list[str]) -> str:
    results = summary.results
    data, spec = results.data, results.spec
    told = study_sentences(summary)
    seconds = sum(cell.seconds for cell in results.cells)
    parts = [
        f"<h1>{text(spec.title)}</h1>",
        "" if results.complete else _partial(summary),
        *(paragraph(line, "headline") for line in told[:1]),
        bullets(told[1:]),
        facts(
            [
                ("Tasks", f"{len(data['tasks'])}"),
                ("Targets", f"{len(data['targets'])}"),
                ("Seeds", f"{len(spec.seeds)}"),
                ("Labelled target samples", f"{spec.target_labels}"),
                ("Dimension", ", ".join(map(str, summary.dimensions)) or "\N{EN DASH}"),
                ("Encoder", f"{data['encoder']}, {data['features']} features"),
                ("Time of all targets and seeds", seconds_text(seconds)),
            ]
        ),
        "<h2>Methods</h2>",
        _methods(summary),
        '<div class="pictures">',
        *(f"<figure>{picture}</figure>" for picture in pictures),
        "</div>",
        *(part for method in _compared(summary) for part in _why(summary, method)),
        "<h2>How the numbers are defined</h2>",
        definitions(DEFINITIONS),
        "<h2>Exactly what was run</h2>",
        f"<pre>{text(json.dumps(spec.as_json(), indent=1, ensure_ascii=False))}</pre>",
        definitions(sorted(results.versions.items())),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(spec.title)}</title><style>{STYLE}</style></head>"
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def _partial(summary: StudySummary) -> str:
    results = summary.results
    every = len(results.data["targets"]) * len(results.spec.seeds)
    return (
        '<div class="partial" role="status"><p><strong>Partial result.</strong> Done: '
        f"{len(results.cells)} of {every} targets and seeds. Run the same command again to go on."
        "</p></div>"
    )


def _methods(summary: StudySummary) -> str:
    rows = study_rows(summary)
    names = list(dict.fromkeys(name for row in rows for name in row))
    body = [Row(tuple(Cell(row.get(name, "\N{EN DASH}")) for name in names)) for row in rows]
    return table([Cell(name) for name in names], body)


def _why(summary: StudySummary, method: MethodAtBudget) -> list[str]:
    """Return what goes with gains of a method, and where it does not help."""
    parts = [f"<h2>{text(method.title)} at {method.budget:,g} samples</h2>"]
    if method.correlations:
        head = [Cell(n) for n in ("factor", "correlation with the gain", "gain, smaller half",
                                  "gain, larger half")]  # fmt: skip
        rows = [
            Row(
                (
                    Cell(c.factor, FACTORS[c.factor]),
                    Cell(signed(f"{c.rank:+.2f}")),
                    Cell(thousandths(c.low)),
                    Cell(thousandths(c.high)),
                )
            )
            for c in method.correlations
        ]
        parts += ["<h3>What goes with a gain</h3>", table(head, rows)]
        parts.append(paragraph("Gains in thousandths of mean squared error.", "note"))
    parts += ["<h3>Least and most</h3>", _named(method)]
    for place, what in enumerate(("row", "column")):
        means = by_factor(summary, method, place)
        if 1 < len(means) < len(method.gains):
            head = [Cell(what), Cell("mean gain"), Cell("wins")]
            rows = [
                Row(
                    (
                        Cell(name),
                        Cell(thousandths(float(np.mean(each)))),
                        Cell(f"{sum(g > 0 for g in each)} of {len(each)}"),
                    )
                )
                for name, each in means.items()
            ]
            parts += [f"<h3>By {what} of the target</h3>", table(head, rows)]
    return parts


def _named(method: MethodAtBudget) -> str:
    rows = [Row((Cell(n), Cell(thousandths(g)))) for n, g in worst_and_best(method)]
    return table([Cell("target"), Cell("gain")], rows)
