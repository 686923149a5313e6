"""Numbers as words: the same wording on the page and in the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from labeltrain.metrics.costs import PAID, CostLedger
from labeltrain.metrics.saving import Saving
from labeltrain.report.summary import ExperimentSummary, Mean, StrategySummary

NONE = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
#: Target of the headline, a share of the baseline's rise.
HEADLINE = 0.9

TITLES = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "balanced_accuracy_min5": "Balanced accuracy, 5+ test items",
    "pool_accuracy": "Pool accuracy",
    "macro_f1": "Macro F1",
    "micro_f1": "Micro F1",
    "map": "Mean average precision",
    "exact_match": "Exact match",
    "nll": "Negative log likelihood",
    "answer_likelihood": "Answer likelihood",
    "ece": "Calibration error",
}
#: Scores shown as they are; all others are shown in percent.
RAW = ("nll",)


def title(metric: str) -> str:
    """Return the readable name of a score."""
    return TITLES.get(metric, metric.replace("_", " ").capitalize())


def signed(text: str) -> str:
    """Use a real minus sign."""
    return text.replace("-", MINUS)


def percent(value: float | None, digits: int = 1) -> str:
    """Return a share in percent without the sign: 0.864 is "86.4"."""
    if value is None or not math.isfinite(value):
        return NONE
    text = f"{100 * value:.{digits}f}"
    return signed(text[1:] if float(text) == 0 and text.startswith("-") else text)


def saved(value: float | None) -> str:
    """Return a saving in whole percent, with decimals where it would look like 0."""
    rounded = percent(value, 0)
    if value is None or rounded != "0" or abs(value) < 1e-4:
        return rounded
    return percent(value, 1 if abs(value) >= 1e-3 else 2)


def number(value: float, metric: str) -> str:
    """Return a score the way its metric is shown."""
    return signed(f"{value:.3f}") if metric in RAW else percent(value)


def mean_text(mean: Mean | None, metric: str) -> str:
    """Return "86.4 ± 0.7"; without the interval if there is none."""
    if mean is None:
        return NONE
    if mean.high is None:
        return number(mean.value, metric)
    half = mean.high - mean.value
    return f"{number(mean.value, metric)} ± {number(half, metric)}"


def p_text(p: float | None) -> str:
    """Return a p-value with at most three decimals."""
    if p is None:
        return NONE
    return "<0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def seconds_text(seconds: float) -> str:
    """Return seconds, minutes or hours with about three figures."""
    if seconds < 0.0995:
        return f"{1000 * seconds:.{0 if seconds >= 0.00995 else 1}f} ms" if seconds else "0 s"
    if seconds < 100:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def quantity(count: float) -> str:
    """Return a count with about three figures: "9800", "24.6k", "1.2M"."""
    if count < 10_000:
        return f"{count:.0f}"
    if count < 999_500:
        return f"{count / 1000:.{1 if count < 99_950 else 0}f}k"
    return f"{count / 1e6:.1f}M"


def count_text(examples: float) -> str:
    """Return a number of examples with about three figures."""
    return f"{quantity(examples)} examples"


def cost_sentence(ledger: CostLedger) -> str:
    """Say what a strategy with an expensive learner at the end cost, beside its training alone."""
    steps = ", ".join(
        f"{step} {seconds_text(ledger.seconds[step])}"
        for step in PAID
        if step != "final" and ledger.seconds[step] > 0
    )
    features = {"empty": "", "filled": ", features from the cache"}.get(
        ledger.cache, ", some features from the cache"
    )
    return (
        f"{ledger.strategy}: {ledger.ratio:.2f} times the cost of training {ledger.learner} alone "
        f"on {ledger.labels} labels ({seconds_text(ledger.training_alone)}){features}: {steps} "
        f"on top"
    )


def labels_text(saving: Saving, spent: float, *, baseline: bool = False) -> str:
    """Return the labels needed, with censoring said plainly."""
    if saving.status == "no_rise":
        return "no target"
    if baseline:
        return f"{saving.labels_baseline:.0f}"
    if saving.status == "never":
        return f">{spent:.0f} (never reached)"
    if saving.status == "at_start":
        return f"≤{saving.labels_method:.0f} (at its first score)"
    return f"{saving.labels_method:.0f}"


def saving_text(saving: Saving) -> str:
    """Return the saving alone: "56 %", "<−25 % (never reached)", "≥96 %" or a dash."""
    if saving.status == "never":
        return f"<{saved(saving.bound)} % (never reached)"
    if saving.status == "at_start":
        return f"≥{saved(saving.bound)} %"
    return NONE if saving.value is None else f"{saved(saving.value)} %"


def interval_text(saving: Saving) -> str:
    """Return the interval of a saving, open sides said plainly; empty if there is none."""
    if saving.low is None or saving.high is None:
        return ""
    low, high = math.isfinite(saving.low), math.isfinite(saving.high)
    if low and high:
        return f"{saved(saving.low)} to {saved(saving.high)} %"
    if high:
        return f"at most {saved(saving.high)} %, open below"
    return f"at least {saved(saving.low)} %, open above" if low else "open on both sides"


def seeds_text(seeds: int) -> str:
    """Return "1 seed" or "10 seeds"."""
    return f"{seeds} seed{'' if seeds == 1 else 's'}"


def never_found(summary: ExperimentSummary) -> str:
    """Say which classes nobody ever labelled an item of, and what helps; "" if there are none."""
    counts = [s.found for s in summary.strategies if s.found is not None]
    if not counts:
        return ""
    none = np.flatnonzero(np.sum(counts, axis=0) == 0)
    names = [summary.experiment.classes[c] for c in none]
    if not names:
        return ""
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return (
        f"No strategy ever labelled an item of {shown}: a seed set can begin with examples or a "
        "query (docs/studies.md, Rare classes)."
    )


def saving_sentence(saving: Saving, method: str, baseline: str, spent: float) -> str:
    """Say in one sentence what one strategy saved at one target, and how sure that is."""
    seeds = seeds_text(saving.seeds)
    if saving.status == "no_rise":
        return f"No saving can be computed: {baseline} does not rise over these labels ({seeds})."
    rise = f"{saving.share * 100:.0f} % of {baseline}'s rise"
    random = f"{baseline} needs {saving.labels_baseline:.0f}"
    interval = interval_text(saving)
    level = f"{saving.level * 100:.0f} % interval {interval}"
    if saving.status == "never":
        more = f" (saving {level})" if interval else ""
        return (
            f"No saving shown: {method} never reaches {rise} within {spent:.0f} labels, where "
            f"{random}{more}, {seeds}."
        )
    if saving.status == "at_start":
        sure = f" ({level})" if interval else f"; no interval from {seeds}, so nothing is shown yet"
        return (
            f"{method} is already at {rise} with its first {saving.labels_method:.0f} labels, "
            f"where {random}: at least {saved(saving.bound)} % saved{sure}, {seeds}."
        )
    needs = f"{method} needs {saving.labels_method:.0f} labels where {random}"
    value = saving.value if saving.value is not None else float("nan")
    if saving.low is None or saving.high is None:
        which = "fewer" if value >= 0 else "more"
        give = "gives" if saving.seeds == 1 else "give"
        return (
            f"To reach {rise}, {needs}: {saved(abs(value))} % {which}, but {seeds} {give} no "
            "interval, so no saving is shown yet."
        )
    if saving.low > 0:
        return f"To reach {rise}, {needs}: {saved(value)} % saved ({level}), {seeds}."
    if saving.high < 0:
        return (
            f"{method} costs labels: to reach {rise}, {needs}, {saved(-value)} % more "
            f"(saving {level}), {seeds}."
        )
    return f"No saving shown: to reach {rise}, {needs} (saving {saved(value)} %, {level}), {seeds}."


def best(summary: ExperimentSummary) -> StrategySummary | None:
    """Return the strategy with the highest mean area besides the baseline."""
    others = [s for s in summary.strategies if not s.is_baseline and s.area is not None]
    return max(others, key=lambda s: s.area.value if s.area else 0.0, default=None)


def _at_one_point(summary: ExperimentSummary, top: StrategySummary) -> str:
    """Say how a strategy compares where scores were taken at one number of labels only."""
    labels, gap = int(summary.aligned.labels[-1]), top.comparison
    found = f"{top.name} has the highest score"
    if gap is not None:
        found = f"{top.name} minus {summary.baseline} is {percent(gap.difference)} points"
        if gap.low is not None and gap.high is not None:
            found += f" (95 % interval {percent(gap.low)} to {percent(gap.high)})"
    return (
        f"At {labels} labels, the only number at which there are scores, {found}, "
        f"{seeds_text(top.seeds)}: no label saving can be read from one point."
    )


def headline(summary: ExperimentSummary) -> str:
    """Say in one sentence what an experiment found."""
    top = best(summary)
    of = summary.experiment
    split = " On these test items only." if of.shared_test else " On this split only."
    split = "" if of.redrawn else split
    if not summary.strategies:
        return "No round is finished yet."
    if not summary.has_baseline:
        return (
            f"No saving can be computed: the baseline {summary.baseline!r} is not among the "
            f"compared strategies.{split}"
        )
    if top is None:
        return f"Only the baseline {summary.baseline!r} was run: there is no other strategy.{split}"
    found = [s for s in top.savings if s.share == HEADLINE] or list(top.savings[-1:])
    if not found:
        return f"{top.name} and {summary.baseline} share no seed: nothing to compare.{split}"
    if len(summary.aligned.labels) == 1:
        return f"{_at_one_point(summary, top)}{split}"
    sentence = saving_sentence(
        found[0], top.name, summary.baseline, float(summary.aligned.labels[-1])
    )
    others = sum(not s.is_baseline for s in summary.strategies)
    if others > 1:
        sentence += (
            f" {top.name} has the largest area of the {others} on these same seeds: "
            "confirm it on fresh ones."
        )
    return sentence + split


def headlines(summaries: Sequence[ExperimentSummary]) -> list[tuple[tuple[str, ...], str]]:
    """Return every headline once, after the experiments that it is true of."""
    found: dict[str, list[str]] = {}
    for summary in summaries:
        found.setdefault(headline(summary), []).append(summary.experiment.name)
    return [(tuple(names), sentence) for sentence, names in found.items()]


def who(names: Sequence[str], every: int) -> str:
    """Return the names of some experiments of a study, or how many they are if they are all."""
    return f"All {every} experiments" if 1 < len(names) == every else ", ".join(names)
