"""How commands write: tables for people, JSON for programs, a progress bar for long waits."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import typer


def as_json(value: Any) -> None:
    """Print a value as JSON."""
    typer.echo(json.dumps(_plain(value), indent=2, ensure_ascii=False))


def _plain(value: Any) -> Any:
    """Return a value JSON can hold: arrays as lists, NaN and infinity as null."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)


def as_table(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None, title: str = ""
) -> None:
    """Print rows as a table."""
    if not rows:
        typer.echo("nothing to show")
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    names = list(columns or rows[0])
    table = Table(title=title or None, title_justify="left", show_edge=False, pad_edge=False)
    for name in names:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(row.get(name))) for name in names))
    # Into a file or a pipe the table is as wide as it needs: nobody reads wrapped logs.
    console = Console() if sys.stdout.isatty() else Console(width=200)
    console.print(table)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(str(v) for v in value)
    return str(value)


EARLY = 0.02  # of the work: before, what is not counted, such as loading models, decides alone


class Bar:
    """A progress bar on a terminal; plain lines, now and then, elsewhere.

    The time to go is the time so far times the work that is left over the work that was done;
    the caller counts work so that equal amounts take equal time.
    """

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._progress: Any = None
        self._task: Any = None
        self._name = ""
        self._total = 0.0
        self._begun = 0.0
        self._first = 0.0
        self._said = 0.0

    def stage(self, name: str, total: float) -> None:
        """Begin a stage with that much work."""
        self.close()
        self._name, self._total = name, max(float(total), 1e-9)
        self._begun = self._said = time.monotonic()
        self._first = -1.0
        if self._terminal:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f} %"),
                TimeElapsedColumn(),
                TextColumn("{task.fields[left]}"),
                console=Console(stderr=True),
            )
            self._task = self._progress.add_task(name, total=self._total, left="")
            self._progress.start()

    def advance_to(self, done: float, total: float | None = None) -> None:
        """Say how much of the stage is done, and how much there is if that is known better now."""
        now = time.monotonic()
        if total is not None:
            self._total = max(float(total), 1e-9)
        if self._first < 0:  # what was done before this session took it no time
            self._first, self._begun = done, now
        left = ""
        fresh = done - self._first
        if fresh > EARLY * self._total and now - self._begun > 1:
            seconds = (now - self._begun) * (self._total - done) / fresh
            left = f"about {_duration(seconds)} to go" if done < self._total else ""
        if self._progress is not None:
            self._progress.update(self._task, completed=done, total=self._total, left=left)
            if done >= self._total:
                self.close()
        elif now - self._said > 10 or (done >= self._total and now - self._begun > 2):
            self._said = now
            share = 100 * min(done / self._total, 1.0)
            sys.stderr.write(f"{self._name}: {share:.0f} %{f', {left}' if left else ''}\n")
            sys.stderr.flush()

    def close(self) -> None:
        """Take the bar away."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"
