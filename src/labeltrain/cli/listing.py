"""`labeltrain list`: what there is."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer


class What(StrEnum):
    """What can be listed."""

    strategies = "strategies"
    learners = "learners"
    encoders = "encoders"
    datasets = "datasets"
    metrics = "metrics"


def listing(
    what: Annotated[What, typer.Argument(help="What to list.")],
    json_: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """List strategies, learners, encoders, datasets or metrics."""
    from labeltrain.cli.output import as_json, as_table

    rows = _rows(what)
    if json_:
        as_json(rows)
    else:
        few = {  # --json has the rest: parameters of learners, say
            What.strategies: ("name", "summary", "needs", "sequential"),
            What.learners: ("name", "summary", "continues", "gives", "kinds", "reads"),
        }
        as_table(rows, few.get(what))


def _rows(what: What) -> list[dict[str, Any]]:
    if what is What.strategies:
        from labeltrain.strategies.registry import describe

        return describe()
    if what is What.learners:
        from labeltrain.learners import registry as learners

        return learners.describe()
    if what is What.encoders:
        from labeltrain import encoders

        return encoders.describe()
    if what is What.datasets:
        from labeltrain.cli.data import datasets

        return datasets()
    from labeltrain.metrics import METRICS

    return [
        {
            "name": name,
            "summary": metric.description,
            "kinds": sorted(metric.kinds),
            "higher_is_better": metric.higher_is_better,
        }
        for name, metric in METRICS.items()
    ] + [
        {
            "name": "pool_accuracy",
            "summary": "share of right predictions on the whole pool, labelled items included",
            "kinds": ["multiclass", "multilabel"],
            "higher_is_better": True,
        }
    ]
