"""Write a report: one HTML page and its pictures as PNG files beside it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from labeltrain.errors import StoreUnwritable
from labeltrain.metrics.curves import Results
from labeltrain.metrics.scores import FEW
from labeltrain.report.draw import png, svg
from labeltrain.report.figures import curve_figure, overview_figure
from labeltrain.report.forest import saving_figure
from labeltrain.report.learner_figure import learner_figure
from labeltrain.report.learners import compare_learners
from labeltrain.report.look import Look
from labeltrain.report.page import page
from labeltrain.report.summary import ExperimentSummary, summarise
from labeltrain.report.words import title


@dataclass(frozen=True)
class ReportFiles:
    """What a report wrote.

    Attributes
    ----------
    html : Path
    pngs : tuple of Path
        The overview first.
    """

    html: Path
    pngs: tuple[Path, ...]


def write(results: Results, out: str | Path) -> ReportFiles:
    """Write ``report.html`` and its pictures into a folder.

    Parameters
    ----------
    results : Results
        May be partial: what cannot be compared is left out, and the page says what.
    out : Path
        Made if it does not exist. Files of the same name are replaced; nothing is deleted.

    Returns
    -------
    ReportFiles
        The page, ``overview.png``, ``learners-on-<data set>.png`` where experiments on one data
        set can be compared, and for every experiment ``curve-<experiment>-<score>.png``
        and, with a baseline and another strategy, ``saving-<experiment>.png``.

    Raises
    ------
    BadInput
        As :func:`labeltrain.report.summarise`.
    StoreUnwritable
        If the folder or a file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(Results("empty", "", {}, (), ()), Path(folder)).html.name
    'report.html'
    """
    out = Path(out)
    summaries = summarise(results)
    names = sorted({c.strategy for c in results.curves})
    look = Look(names, results.baseline)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreUnwritable(
            f"cannot make the folder {out}: {error}", "choose a folder you can write to"
        ) from error
    pngs: list[Path] = []
    pictures: dict[str, list[str]] = {}
    drawn = [s for s in summaries if _has_curve(s, s.experiment.metric)]
    if drawn:
        figure = overview_figure(drawn, look)
        pngs.append(png(figure, out / "overview.png"))
        if len(drawn) > 1:
            pictures[""] = [svg(figure, "Learning curves of all experiments")]
    compared = []
    comparisons = compare_learners(results, summaries)
    for comparison, slug in zip(comparisons, _slugs([c.title for c in comparisons]), strict=True):
        picture = ""
        if any(row.line is not None for one in comparison.tables for row in one.rows):
            figure = learner_figure(comparison)
            pngs.append(png(figure, out / f"{slug.lower()}.png"))
            picture = svg(figure, f"{comparison.title}: score by seconds")
        compared.append((comparison, picture))
    slugs = _slugs([s.experiment.name for s in summaries])
    for summary, slug in zip(summaries, slugs, strict=True):
        own = pictures.setdefault(summary.experiment.name, [])
        for metric in curves_shown(summary):
            figure = curve_figure(summary, metric, look)
            pngs.append(png(figure, out / f"curve-{slug}-{_slug(metric)}.png"))
            own.append(svg(figure, f"{title(metric)} by labels, {summary.experiment.name}"))
        if any(s.savings and not s.is_baseline for s in summary.strategies):
            figure = saving_figure(summary, look)
            pngs.append(png(figure, out / f"saving-{slug}.png"))
            own.append(svg(figure, f"Label saving, {summary.experiment.name}"))
    html = out / "report.html"
    try:
        html.write_text(page(results, summaries, look, pictures, compared), encoding="utf-8")
    except OSError as error:
        raise StoreUnwritable(
            f"cannot write {html}: {error}", "choose a folder you can write to"
        ) from error
    return ReportFiles(html, tuple(pngs))


def curves_shown(summary: ExperimentSummary) -> list[str]:
    """Return the scores whose curves are drawn: the main one first."""
    wanted = [summary.experiment.metric, "accuracy", "balanced_accuracy"]
    if any(0 < int(c) < FEW for c in summary.experiment.test_counts):
        wanted.append("balanced_accuracy_min5")
    wanted.append("pool_accuracy")
    return [m for m in dict.fromkeys(wanted) if _has_curve(summary, m)]


def _has_curve(summary: ExperimentSummary, metric: str) -> bool:
    return metric in summary.metrics


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.]+", "-", name).strip("-.") or "experiment"


def _slugs(names: list[str]) -> list[str]:
    """Return file name parts that differ even where case or odd characters do not."""
    seen: dict[str, int] = {}
    out = []
    for name in names:
        slug = _slug(name)
        seen[slug.lower()] = seen.get(slug.lower(), 0) + 1
        count = seen[slug.lower()]
        out.append(slug if count == 1 else f"{slug}-{count}")
    return out
