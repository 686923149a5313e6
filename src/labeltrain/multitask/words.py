"""What a run shows, in sentences: the same on the page and in the terminal."""

from __future__ import annotations

from labeltrain.metrics import Comparison
from labeltrain.multitask.adaptive import NOISY
from labeltrain.multitask.assessment import RESOLVED
from labeltrain.multitask.methods import method_named
from labeltrain.multitask.spec import ALONE, BASELINE
from labeltrain.multitask.summary import Estimate, MethodSummary, RunSummary
from labeltrain.report.words import p_text, percent, saving_sentence, seeds_text, signed

TITLES = {
    "mse": "mean squared error",
    "explained": "variance explained",
    "accuracy": "accuracy",
    "auc": "AUC",
}


def score_text(estimate: Estimate | None, score: str) -> str:
    """Return a score with its interval, such as "0.081 (0.078 to 0.084)"."""
    if estimate is None:
        return "\N{EN DASH}"
    value = number(estimate.value, score)
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value} ({number(estimate.low, score)} to {number(estimate.high, score)})"


def number(value: float, score: str = "mse") -> str:
    """Return a score as people read it: errors with three figures, others in percent."""
    if score == "mse":
        return signed(f"{value:#.3g}" if abs(value) < 1000 else f"{value:,.0f}")
    if score == "auc":
        return f"{value:.3f}"
    return signed(f"{100 * value:.1f} %")


def difference_text(difference: Comparison | None) -> str:
    """Return the difference to uniform with its interval."""
    if difference is None:
        return "\N{EN DASH}"
    text = _change(difference.difference)
    if difference.low is None or difference.high is None:
        return text
    return f"{text} ({_change(difference.low)} to {_change(difference.high)})"


def _change(value: float) -> str:
    return signed(f"{value:+.2g}") if value else "0"


def sentences(summary: RunSummary) -> list[str]:
    """Return what the run shows, the most important first.

    Parameters
    ----------
    summary : RunSummary

    Returns
    -------
    list of str
    """
    own = summary.chosen
    if own is None:
        return ["Nothing is done yet: run the same command again to go on."]
    told = []
    if own.difference is not None:
        told.append(_verdict(own.method, BASELINE, own.difference))
    if own.savings:
        told.append(saving_sentence(own.savings[-1], own.method, BASELINE, own.spent))
    if own.beyond_target is not None:
        told.append(_verdict(own.method, ALONE, own.beyond_target))
        if own.beyond_target.difference >= 0:
            told.append(
                "The labelled target samples alone do as well, by the mean: nothing says that "
                "these sources help."
            )
    if own.method != ALONE:
        told.append(
            f"About {percent(own.missed, 0)} % of the target's signal is missed: the sources do "
            "not explain it, however many samples are drawn."
        )
    others = [
        f"Warning: {text} ({seeds_text(count)})."
        for text, count in summary.warnings
        if not text.startswith(NOISY)
    ]
    return told + _noise(own) + others


def _verdict(method: str, other: str, difference: Comparison) -> str:
    seeds, change = seeds_text(difference.seeds), difference_text(difference)
    if difference.low is None or difference.high is None:
        return (
            f"{method} minus {other}: {change} of mean squared error, {seeds}; one seed says "
            "nothing of another, so nothing is shown yet (--seeds 10)."
        )
    if difference.high < 0:
        verdict = f"{method} is better than {other}"
    elif difference.low > 0:
        verdict = f"{method} is worse than {other}"
    else:
        verdict = f"No difference between {method} and {other} is shown"
    p = "" if difference.p is None else f", p {p_text(difference.p)}"
    return f"{verdict}: mean squared error {change}, smaller in {difference.wins} of {seeds}{p}."


def _noise(own: MethodSummary) -> list[str]:
    """Return the warning of noisy heads, and how far mixing went."""
    how = method_named(own.method)
    if not how.estimates or how.affinity:
        return []
    told = []
    if own.noisy:
        first = own.noise
        size = "cannot be told" if first is None else f"is about {first:.2f} of it"
        told.append(
            f"Warning: after the first epoch heads are too noisy to tell which tasks matter, in "
            f"{own.noisy} of {seeds_text(own.seeds)}: their error should be {RESOLVED} of the "
            f"target's head or less, and {size}. A larger first epoch, fewer source tasks or a "
            "smaller dimension would help."
        )
    if own.noisy and how.guarded and max(own.mixed) > 0:
        shares = ", ".join(f"{percent(share, 0)} %" for share in own.mixed)
        told.append(
            f"Of what relevance would decide, all tasks alike got {shares} after the epochs: the "
            "guard fell back to mixing."
        )
    return told


def summary_rows(summary: RunSummary) -> list[dict[str, str]]:
    """Return one row for each method, for tables.

    Parameters
    ----------
    summary : RunSummary

    Returns
    -------
    list of dict
    """
    rows = []
    for method in summary.methods:
        row = {"method": method.method, "samples": f"{_samples(method):,.0f}"}
        for score, title in TITLES.items():
            if score in method.scores:
                row[title] = score_text(method.scores[score], score)
        row[f"error minus {BASELINE}'s"] = difference_text(method.difference)
        rows.append(row)
    return rows


def _samples(method: MethodSummary) -> float:
    return sum(method.allocation[-1])
