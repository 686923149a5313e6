"""Draws results: curves, tables and one self-contained HTML page."""

from __future__ import annotations

from labeltrain.report.rows import table
from labeltrain.report.summary import ExperimentSummary, StrategySummary, summarise
from labeltrain.report.writer import ReportFiles, write

__all__ = [
    "ExperimentSummary",
    "ReportFiles",
    "StrategySummary",
    "summarise",
    "table",
    "write",
]
