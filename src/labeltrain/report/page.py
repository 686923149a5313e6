"""The page: one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from labeltrain.metrics.curves import Results
from labeltrain.metrics.scores import FEW
from labeltrain.report import tables
from labeltrain.report.look import Look
from labeltrain.report.markup import bullets, definitions, facts, paragraph, text
from labeltrain.report.style import STYLE
from labeltrain.report.summary import ExperimentSummary
from labeltrain.report.words import (
    HEADLINE,
    headline,
    saving_sentence,
    seconds_text,
    seeds_text,
    title,
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
) -> str:
    """Return the whole page.

    Parameters
    ----------
    results : Results
    summaries : sequence of ExperimentSummary
    look : Look
    pictures : mapping of str to sequence of str
        SVG elements by experiment name; those of the overview under "".

    Returns
    -------
    str
        HTML without a script, a link to another host, or a file beside it.
    """
    seeds = sorted({c.seed for c in results.curves})
    strategies = ", ".join([*(x for x in (look.baseline,) if _ran(results, x)), *look.order])
    parts = [
        f"<h1>{text(results.title)}</h1>",
        paragraph(
            f"{len(summaries)} experiment{'' if len(summaries) == 1 else 's'} · {strategies} · "
            f"{seeds_text(len(seeds))} · {seconds_text(results.seconds_total)} of computing",
            "meta",
        ),
        _status(results, summaries),
        _contents(summaries),
        *(
            f'<p class="headline"><strong>{text(s.experiment.name)}.</strong> '
            f"{text(headline(s))}</p>"
            for s in summaries
        ),
        "".join(f'<figure class="overview">{x}</figure>' for x in pictures.get("", ())),
        _together(results, summaries, look),
        *(
            _experiment(k, s, look, pictures.get(s.experiment.name, ())) + _costs(results, s, look)
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
        "and seeds."
    )


def _ran(results: Results, strategy: str) -> bool:
    return any(c.strategy == strategy for c in results.curves)


def _listed(summaries: Sequence[ExperimentSummary]) -> list[tuple[int, ExperimentSummary]]:
    return list(enumerate(summaries, start=1))


def _contents(summaries: Sequence[ExperimentSummary]) -> str:
    links = [f'<a href="#e{k}">{text(s.experiment.name)}</a>' for k, s in _listed(summaries)]
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


def _experiment(k: int, s: ExperimentSummary, look: Look, pictures: Sequence[str]) -> str:
    e = s.experiment
    if e.redrawn:
        split = "Every seed draws its own pool and test split."
    elif e.shared_test:
        split = (
            "Every seed draws its own pool; all share the test items, so the intervals do not "
            "cover another draw of those."
        )
    else:
        split = (
            "On this split: all seeds share one pool and test split, so the intervals do not "
            "cover another draw of the data."
        )
    about = [
        ("Data", e.dataset),
        ("Encoder", e.encoder),
        ("Learner", e.learner),
        ("Items", f"{e.pool_size} in the pool, {e.test_size} in the test set"),
        *([("Classes", str(len(e.classes)))] if e.classes else []),
        ("Main score", title(e.metric)),
        *((k[:1].upper() + k[1:], v) for k, v in sorted(e.facts.items())),
    ]
    out = [f'<h2 id="e{k}">{text(e.name)}</h2>', facts(about), paragraph(split, "note")]
    sentences = _sentences(s)
    out.append(bullets(sentences) if sentences else paragraph(headline(s)))
    if s.notes:
        out += ["<h3>Left out</h3>", bullets(s.notes)]
    if not s.strategies:
        return "".join(out)
    last = int(s.aligned.labels[-1])
    out.append(f'<div class="pictures">{"".join(f"<figure>{x}</figure>" for x in pictures)}</div>')
    if s.has_baseline and len(s.strategies) > 1:
        out += [
            f"<h3>Labels needed to reach a share of {text(s.baseline)}'s rise in "
            f"{text(title(e.metric).lower())}</h3>",
            tables.needs(s, look),
            f"<h3>Label saving against {text(s.baseline)}</h3>",
            tables.savings(s, look),
            paragraph("Second line: 95 % interval. Bold: the interval lies above 0.", "note"),
        ]
    elif not s.has_baseline:
        out.append(
            paragraph(
                f"The baseline {s.baseline!r} is not among the compared strategies: "
                "no label saving and no test.",
                "note",
            )
        )
    out += [
        f"<h3>Area under the curve of {text(title(e.metric).lower())} (%)</h3>",
        tables.areas(s, look),
    ]
    if s.wins is not None:
        out += [
            "<h3>Win matrix</h3>",
            tables.wins(s.wins, look),
            paragraph(
                "Seeds in which the row has the larger area than the column. "
                "* significant at 5 % after Holm's correction over all pairs.",
                "note",
            ),
        ]
    out += [
        f"<h3>Scores at {last} labels</h3>",
        tables.finals(s, look),
        paragraph(
            "In %, except the negative log likelihood; ± half of the 95 % t interval.", "note"
        ),
    ]
    if any(x.recall is not None for x in s.strategies) and e.classes:
        rare = sum(0 < int(c) < FEW for c in e.test_counts)
        warning = f" {rare} classes have fewer than {FEW} test items." if rare else ""
        out += [
            f"<h3>Recall of each class at {last} labels (%)</h3>",
            tables.recalls(s),
            paragraph(f"Mean over seeds.{warning}", "note"),
        ]
    if any(x.found is not None for x in s.strategies) and e.classes:
        out += [f"<h3>Labels of each class, of {last}</h3>", tables.labels_found(s)]
        waited = [x for x in s.strategies if x.groups is not None]
        told = ", ".join(f"{x.name} {x.groups:.0f}" for x in waited)
        out.append(
            paragraph(
                "Mean over seeds, as they were answered. How often answers were waited for "
                f"(those of one group can be given at the same time): {told}.",
                "note",
            )
        )
    if any(x.seconds for x in s.strategies):
        out += ["<h3>Seconds a round</h3>", tables.seconds(s, look)]
    encode = (
        f"Encoding: {seconds_text(e.seconds_encode)}, once."
        if e.seconds_encode
        else "Encoding: nothing, all features came from the cache."
    )
    out.append(paragraph(encode, "note"))
    return "".join(out)


def _costs(results: Results, s: ExperimentSummary, look: Look) -> str:
    """Show what an expensive learner at the end cost with all that led to it."""
    ledgers = [x for x in results.costs if x.experiment == s.experiment.name]
    if not ledgers:
        return ""
    return (
        f"<h3>What {ledgers[0].labels} labels and the training cost</h3>"
        + tables.costs(ledgers, look)
        + paragraph(
            "Means over seeds. Ratio: encode, proxy, select, refresh and final over final alone, "
            "in seconds. Encode: once for all strategies and seeds; nothing when the features "
            "came from the cache.",
            "note",
        )
    )


def _sentences(s: ExperimentSummary) -> list[str]:
    """Say of every strategy what it saved at the headline's target."""
    spent = float(s.aligned.labels[-1]) if len(s.aligned.labels) else 0.0
    return [
        saving_sentence(x, row.name, s.baseline, spent)
        for row in s.strategies
        if not row.is_baseline
        for x in row.savings
        if x.share == HEADLINE
    ]
