"""The result table for the terminal: one row for each strategy of each experiment."""

from __future__ import annotations

from labeltrain.metrics.curves import Results
from labeltrain.metrics.saving import SHARES
from labeltrain.report.summary import summarise
from labeltrain.report.words import (
    HEADLINE,
    NONE,
    interval_text,
    labels_text,
    mean_text,
    p_text,
    percent,
    saving_text,
)


def table(results: Results) -> list[dict[str, str]]:
    """Return the results as rows of text, for a terminal or a CSV file.

    Parameters
    ----------
    results : Results

    Returns
    -------
    list of dict of str to str
        The same keys in every row: ``experiment``, ``strategy``, ``seeds``, ``labels`` (at the
        last common round), ``final`` (main score in %, with its 95 % t interval), ``area``,
        ``difference`` (of areas, with interval), ``p`` (Holm), ``labels to 90 %``, and
        ``saving at 50 %`` ... ``saving at 100 %``. A dash where a number does not exist.

    Raises
    ------
    BadInput
        As :func:`labeltrain.report.summarise`.

    Examples
    --------
    >>> table(Results("empty", "", {}, (), ()))
    []
    """
    rows = []
    for summary in summarise(results):
        for s in summary.strategies:
            metric = summary.experiment.metric
            spent = float(summary.aligned.labels[-1])
            row = {
                "experiment": summary.experiment.name,
                "strategy": s.name,
                "seeds": str(s.seeds),
                "labels": f"{spent:.0f}",
                "score": metric,
                "final": mean_text(s.final.get(metric), metric),
                "area": mean_text(s.area, metric),
                "difference": NONE,
                "p": p_text(s.comparison.p_holm if s.comparison else None),
                f"labels to {HEADLINE * 100:.0f} %": NONE,
            }
            if s.comparison is not None:
                c = s.comparison
                row["difference"] = percent(c.difference) + (
                    f" ({percent(c.low)} to {percent(c.high)})" if c.low is not None else ""
                )
            for share in SHARES:
                found = next((x for x in s.savings if x.share == share), None)
                text = NONE
                if found is not None and not s.is_baseline:
                    interval = interval_text(found)
                    text = saving_text(found) + (f" ({interval})" if interval else "")
                if found is not None and share == HEADLINE:
                    row[f"labels to {share * 100:.0f} %"] = labels_text(
                        found, spent, baseline=s.is_baseline
                    )
                row[f"saving at {share * 100:.0f} %"] = text
            rows.append(row)
    return rows
