"""The page: one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from labeltrain.metrics.curves import Results
from labeltrain.report import tables
from labeltrain.report.experiment import costs_part, experiment_part
from labeltrain.report.learner_section import learner_section
from labeltrain.report.learners import LearnerComparison
from labeltrain.report.look import Look
from labeltrain.report.markup import bullets, definitions, paragraph, text
from labeltrain.report.style import STYLE
from labeltrain.report.summary import ExperimentSummary
from labeltrain.report.words import (
    headlines,
    seconds_text,
    seeds_text,
    who,
)

DEFINITIONS = (
    (
        "Curves",
        "Raw means over seeds, never smoothed. Bands are 95 % t intervals of the mean at each "
        "number of labels; they say nothing about several rounds at once.",
    ),
    (
        "Area",
        "Area under the raw curve of one seed, divided by the range of labels: the mean height.",
    ),
    (
        "Rise and targets",
        "The mean curve of the baseline is made monotone by isotonic regression (never a running "
        "maximum). Its rise goes from its first to its last value; targets are 50, 75, 90 and "
        "100 % of that rise.",
    ),
    (
        "Label saving",
        "1 - (labels the strategy needs) / (labels the baseline needs), both read from monotone "
        "mean curves by linear interpolation.",
    ),
    (
        "Never reached",
        "The strategy ends below the target, so it needs more than all labels spent, and the "
        "saving is below the value shown. Already reached at its first score: it needs at most "
        "those labels, and the saving is at least the value shown.",
    ),
    (
        "Interval of a saving",
        "95 %, bias-corrected and accelerated bootstrap over seeds with quantiles expanded for "
        "few seeds; a seed is drawn for both curves at once. Open where more than 2.5 % of the "
        "resamples never reach the target. From 5 seeds on.",
    ),
    (
        "Tests",
        "Paired by seed on the area, two-sided; Holm's correction over the strategies of one "
        "experiment (win matrix: over all its pairs). Below 6 seeds there are intervals only.",
    ),
    ("Balanced accuracy", "Mean recall over the classes that have test items."),
    ("Calibration error", "15 equal-width bins of the top label's probability (ECE)."),
)
SECONDS = {
    "wall": "Wall clock of each step of a round",
    "processor": "Processor time of each step of a round, without waiting or other programs",
}


def page(
    results: Results,
    summaries: Sequence[ExperimentSummary],
    look: Look,
    pictures: Mapping[str, Sequence[str]],
    learners: Sequence[tuple[LearnerComparison, str]] = (),
) -> str:
    """Return the whole page.

    Parameters
    ----------
    results : Results
    summaries : sequence of ExperimentSummary
    look : Look
    pictures : mapping of str to sequence of str
        SVG elements by experiment name; those of the overview under "".
    learners : sequence of (LearnerComparison, str)
        Comparisons of experiments, each with its SVG element or "".

    Returns
    -------
    str
        HTML without a script, a link to another host, or a file beside it.
    """
    seeds = sorted({c.seed for c in results.curves})
    strategies = ", ".join([*(x for x in (look.baseline,) if _ran(results, x)), *look.order])
    said = headlines(summaries)
    shared = {name for names, _ in said if len(names) > 1 for name in names}
    parts = [
        f"<h1>{text(results.title)}</h1>",
        paragraph(
            f"{len(summaries)} experiment{'' if len(summaries) == 1 else 's'} · {strategies} · "
            f"{seeds_text(len(seeds))}{_ran_for(results)}",
            "meta",
        ),
        _status(results, summaries),
        _contents(summaries, [comparison.title for comparison, _ in learners]),
        *(
            f'<p class="headline"><strong>{text(who(names, len(summaries)))}.</strong> '
            f"{text(sentence)}</p>"
            for names, sentence in said
        ),
        "".join(f'<figure class="overview">{x}</figure>' for x in pictures.get("", ())),
        _together(results, summaries, look),
        *(
            learner_section(k, comparison, picture, results.clock)
            for k, (comparison, picture) in enumerate(learners, start=1)
        ),
        *(
            experiment_part(
                k,
                s,
                look,
                pictures.get(s.experiment.name, ()),
                said=s.experiment.name in shared,
            )
            + costs_part(results, s, look)
            for k, s in _listed(summaries)
        ),
        '<h2 id="definitions">How the numbers are defined</h2>',
        definitions([*DEFINITIONS, _seconds(results.clock)]),
        '<h2 id="run">Exactly what was run</h2>',
        "<h3>Specification</h3>",
        f"<pre>{text(results.spec.strip() or 'none was recorded')}</pre>",
        "<h3>Versions and machine</h3>",
        definitions(sorted(results.versions.items())),
        "<h3>Seeds</h3>",
        paragraph(", ".join(map(str, seeds)) or "none"),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(results.title)}</title><style>{STYLE}</style></head>"
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def _together(results: Results, summaries: Sequence[ExperimentSummary], look: Look) -> str:
    """Rank the strategies that all experiments have; of a loop and its final learner the latter."""
    loops = {c.experiment.removesuffix(f", final {c.learner}") for c in results.costs}
    every, summaries = len(summaries), [s for s in summaries if s.experiment.name not in loops]
    if len(summaries) < 2 or not all(s.has_baseline and s.strategies for s in summaries):
        return ""
    common = set.intersection(*({row.name for row in s.strategies} for s in summaries))
    if len(common) < 2:
        return ""
    return (
        '<h2 id="together">All experiments together</h2>'
        + tables.ranking(summaries, look)
        + paragraph(
            "Mean rank of the area under the curve over seeds and experiments, 1 for the largest; "
            f"then the area minus that of {look.baseline}, in points. Bold: significant at 5 % "
            "after Holm's correction within the experiment."
            + (
                " An experiment and its final learner are one data set, which counts once: the "
                "final learner."
                if len(summaries) < every
                else ""
            ),
            "note",
        )
    )


def _seconds(clock: str) -> tuple[str, str]:
    return "Seconds", (
        f"{SECONDS[clock]}, on the machine named below; encoding is done once for all strategies "
        "and seeds. The time at the head of the page is wall time, whatever the rounds are "
        "measured by; what a run took that was cut off is not in it."
    )


def _ran_for(results: Results) -> str:
    took = results.seconds_total
    return f" · {seconds_text(took)} by the wall clock" if took > 0 else ""


def _ran(results: Results, strategy: str) -> bool:
    return any(c.strategy == strategy for c in results.curves)


def _listed(summaries: Sequence[ExperimentSummary]) -> list[tuple[int, ExperimentSummary]]:
    return list(enumerate(summaries, start=1))


def _contents(summaries: Sequence[ExperimentSummary], compared: Sequence[str]) -> str:
    links = [f'<a href="#l{k}">{text(name)}</a>' for k, name in enumerate(compared, start=1)]
    links += [f'<a href="#e{k}">{text(s.experiment.name)}</a>' for k, s in _listed(summaries)]
    links += ['<a href="#definitions">Definitions</a>', '<a href="#run">What was run</a>']
    return f"<nav>{' '.join(links)}</nav>"


def is_partial(results: Results) -> bool:
    """Whether anything is unfinished."""
    return not results.complete or not all(c.complete for c in results.curves)


def _status(results: Results, summaries: Sequence[ExperimentSummary]) -> str:
    if not is_partial(results):
        return paragraph("Complete: every trajectory ran to its last round.", "meta")
    lines = []
    for s in summaries:
        done = ", ".join(f"{name} {full} of {begun}" for name, full, begun in s.progress)
        lines.append(f"{s.experiment.name}: {done or 'nothing yet'}")
    return (
        '<div class="partial" role="status"><p><strong>Partial result.</strong> '
        "Not every trajectory has run to its last round; numbers use what all compared "
        f"strategies have. Finished of begun:</p>{bullets(lines)}</div>"
    )
