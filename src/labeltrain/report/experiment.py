"""The part of the page on one experiment."""

from __future__ import annotations

from collections.abc import Sequence

from labeltrain.metrics.curves import Results
from labeltrain.metrics.scores import FEW
from labeltrain.report import tables
from labeltrain.report.look import Look
from labeltrain.report.markup import bullets, facts, paragraph, text
from labeltrain.report.summary import ExperimentSummary
from labeltrain.report.words import HEADLINE, headline, saving_sentence, seconds_text, title


def experiment_part(
    k: int, s: ExperimentSummary, look: Look, pictures: Sequence[str], *, said: bool
) -> str:
    """Return all of one experiment.

    Parameters
    ----------
    k : int
        Its number on the page, from 1.
    s : ExperimentSummary
    look : Look
    pictures : sequence of str
        SVG elements.
    said : bool
        The head of the page has told what it found, of this and other experiments at once.

    Returns
    -------
    str
        HTML.
    """
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
    if sentences:
        out.append(bullets(sentences))
    elif not said:
        out.append(paragraph(headline(s)))
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
    elif not s.has_baseline and not said:
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
        out += [
            "<h3>Seconds a round</h3>",
            tables.seconds(s, look),
            paragraph(
                f"Mean over rounds and seeds; second line: all rounds until {last} labels "
                "together, a mean over seeds.",
                "note",
            ),
        ]
    encode = (
        f"Encoding: {seconds_text(e.seconds_encode)}, once."
        if e.seconds_encode
        else "Encoding: nothing, all features came from the cache."
    )
    out.append(paragraph(encode, "note"))
    return "".join(out)


def costs_part(results: Results, s: ExperimentSummary, look: Look) -> str:
    """Return what an expensive learner at the end cost with all that led to it."""
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
