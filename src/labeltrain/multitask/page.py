"""The page of a run, and its pictures beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from labeltrain.errors import StoreUnwritable
from labeltrain.multitask.figures import allocation_figure, relevance_figure, score_figure
from labeltrain.multitask.methods import METHODS
from labeltrain.multitask.results import RunResults
from labeltrain.multitask.summary import MethodSummary, RunSummary, summarise
from labeltrain.multitask.words import sentences, summary_rows
from labeltrain.report.draw import png, svg
from labeltrain.report.markup import (
    Cell,
    Row,
    bullets,
    definitions,
    facts,
    paragraph,
    table,
    text,
)
from labeltrain.report.style import STYLE
from labeltrain.report.words import (
    interval_text,
    labels_text,
    percent,
    saving_text,
    seeds_text,
)
from labeltrain.store.files import replace_bytes

NONE = "\N{EN DASH}"
DEFINITIONS = (
    (
        "Relevance",
        "nu of W nu = w: how the target's head is made up of those of the sources, on a "
        "representation that was learned from the drawn samples. Its sign is that of the source.",
    ),
    (
        "Interval",
        "95 %, Student's t over seeds, each of which draws its own labelled target samples, test "
        "items and order of source samples. Of one seed: over its test items only.",
    ),
    (
        "Error minus uniform's",
        "Paired by seed: both have the same labelled target samples, test items, representation "
        "size and order of samples of each task. Below 0 is better.",
    ),
    (
        "Missed",
        "Share of the target's signal that the representation learned from the sources cannot "
        "express, from left-out labelled target samples. No budget for these sources removes it. "
        "(The residual of the relevance is 0 for least norm, and says nothing of this.)",
    ),
    (
        "Error of heads",
        "Estimated error of a source's head as a share of the length of the target's. Above 0.3, "
        "a rule of thumb, heads are too noisy to say which sources do not matter.",
    ),
    (
        "Mixed",
        "Share of what relevance would decide that the next epoch draws of all tasks alike.",
    ),
    (
        "Saving",
        "1 - (samples the method needs) / (samples uniform needs) to reach a share of the fall of "
        "uniform's error, read from monotone mean curves.",
    ),
)


@dataclass(frozen=True)
class ReportFiles:
    """What a report wrote.

    Attributes
    ----------
    html : Path
    pngs : tuple of Path
    """

    html: Path
    pngs: tuple[Path, ...]


def write_page(results: RunResults, out: str | Path) -> ReportFiles:
    """Write ``multitask.html`` and its pictures into a folder.

    Parameters
    ----------
    results : RunResults
        May be partial; the page says so.
    out : path
        Made if it does not exist.

    Returns
    -------
    ReportFiles
        The page, ``score.png``, ``allocation.png`` and, of methods that estimate it,
        ``relevance.png``.

    Raises
    ------
    StoreUnwritable
        If the folder or a file cannot be written.
    """
    out = Path(out)
    summary = summarise(results)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreUnwritable(
            f"cannot make the folder {out}: {error}", "choose a folder you can write to"
        ) from error
    figures = _figures(summary)
    pngs = tuple(png(figure, out / f"{name}.png") for name, (figure, _) in figures.items())
    pictures = {name: svg(figure, told) for name, (figure, told) in figures.items()}
    html = out / "multitask.html"
    replace_bytes(html, _page(summary, pictures).encode())
    return ReportFiles(html, pngs)


def _figures(summary: RunSummary) -> dict[str, tuple[object, str]]:
    own = summary.chosen
    if own is None:
        return {}
    found: dict[str, tuple[object, str]] = {
        "score": (score_figure(summary), "Mean squared error of the target by samples")
    }
    if own.relevance:
        found["relevance"] = (relevance_figure(summary, own), "Relevance of source tasks")
    if own.spent > 0:
        found["allocation"] = (allocation_figure(summary, own), "Samples drawn in each epoch")
    return found


def _page(summary: RunSummary, pictures: dict[str, str]) -> str:
    results, own = summary.results, summary.chosen
    data, spec = results.data, results.spec
    title = f"Source tasks for {data['target']['name']}"
    told = sentences(summary)
    parts = [
        f"<h1>{text(title)}</h1>",
        "" if results.complete else _partial(summary),
        *(paragraph(line, "headline") for line in told[:1]),
        bullets(told[1:]),
        facts(
            [
                ("Method", spec["method"]),
                ("Budget", f"{spec['budget']:,g}"),
                ("Source tasks", f"{len(data['sources'])}"),
                ("Labelled target samples", f"{spec['target_labels']}"),
                ("Seeds", f"{own.seeds if own else 0} of {len(spec['seeds'])}"),
                ("Representation", spec["representation"]),
                ("Dimension", _dimensions(summary)),
                ("Encoder", f"{data['encoder']}, {data['features']} features"),
            ]
        ),
        "<h2>Methods</h2>",
        _methods(summary),
        paragraph(_how_tested(summary), "note"),
        '<div class="pictures">',
        *(f"<figure>{picture}</figure>" for picture in pictures.values()),
        "</div>",
        *([] if own is None else [*_savings(own), "<h2>Epochs</h2>", _epochs(own)]),
        *([] if own is None else ["<h2>Source tasks</h2>", _tasks(summary, own)]),
        *(["<h2>Warnings</h2>", _warned(summary)] if summary.warnings else []),
        *(["<h2>Left out</h2>", bullets(data["left_out"])] if data["left_out"] else []),
        "<h2>How the numbers are defined</h2>",
        definitions(DEFINITIONS),
        "<h2>Exactly what was run</h2>",
        f"<pre>{text(json.dumps(spec, indent=1, ensure_ascii=False))}</pre>",
        definitions(sorted(summary.results.versions.items())),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(title)}</title><style>{STYLE}</style></head>"
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def _partial(summary: RunSummary) -> str:
    done = ", ".join(f"{m.method} {m.seeds}" for m in summary.methods) or "nothing yet"
    every = seeds_text(len(summary.results.spec["seeds"]))
    return (
        '<div class="partial" role="status"><p><strong>Partial result.</strong> '
        f"Done of {every}: {text(done)}. Run the same command again to go on.</p></div>"
    )


def _dimensions(summary: RunSummary) -> str:
    sizes = summary.dimensions
    if len(sizes) == 1:
        return str(next(iter(sizes)))
    return ", ".join(f"{size} ({count}x)" for size, count in sizes.items()) or NONE


def _how_tested(summary: RunSummary) -> str:
    spec, data = summary.results.spec, summary.results.data
    if data["shared"]:
        return (
            "Sources are asked about items of the target's data set; test items of the target are "
            "held out from them, too."
        )
    return (
        f"All items of the target but the {spec['target_labels']} labelled ones are tested on; no "
        "source has them."
    )


def _methods(summary: RunSummary) -> str:
    rows = summary_rows(summary)
    names = list(dict.fromkeys(name for row in rows for name in row))
    head = [Cell(name) for name in names]
    body = []
    for row in rows:
        what = METHODS[row["method"]].summary
        cells = [Cell(row["method"], what), *(Cell(row.get(n, NONE)) for n in names[1:])]
        body.append(Row(tuple(cells)))
    return table(head, body)


def _savings(own: MethodSummary) -> list[str]:
    if not own.savings:
        return []
    head = [Cell("share of uniform's fall"), Cell("uniform needs"), Cell(f"{own.method} needs"),
            Cell("saved")]  # fmt: skip
    rows = [
        Row(
            (
                Cell(f"{percent(s.share, 0)} %"),
                Cell(labels_text(s, own.spent, baseline=True)),
                Cell(labels_text(s, own.spent)),
                Cell(saving_text(s), interval_text(s)),
            )
        )
        for s in own.savings
    ]
    return ["<h2>Saving against uniform</h2>", table(head, rows)]


def _epochs(own: MethodSummary) -> str:
    head = [Cell(n) for n in ("epoch", "samples", "mean squared error", "error of heads", "mixed")]
    rows = []
    for e in range(len(own.curve)):
        unsure = own.unsure[e]
        rows.append(
            Row(
                (
                    Cell(str(e + 1)),
                    Cell(f"{sum(own.allocation[e]):,.0f}"),
                    Cell(f"{own.curve[e]:.4g}"),
                    Cell("cannot be told" if unsure is None else f"{unsure:.2f}"),
                    Cell(f"{percent(own.mixed[e], 0)} %"),
                )
            )
        )
    return table(head, rows)


def _tasks(summary: RunSummary, own: MethodSummary) -> str:
    sources = summary.results.data["sources"]
    last = own.allocation[-1]
    order = sorted(range(len(sources)), key=lambda m: (-last[m], m))
    head = [Cell("task"), Cell("items"), Cell("drawn"), Cell("share of the relevance")]
    rows = [
        Row(
            (
                Cell(sources[m]["name"]),
                Cell(f"{sources[m]['items']:,}"),
                Cell(f"{last[m]:,.0f}"),
                Cell(f"{own.relevance[m]:+.3f}" if own.relevance else NONE),
            )
        )
        for m in order
    ]
    return table(head, rows)


def _warned(summary: RunSummary) -> str:
    return bullets([f"{told} ({seeds_text(count)})" for told, count in summary.warnings])
