"""Draws results: curves, tables and one self-contained HTML page."""

from __future__ import annotations

from labeltrain.report.learners import LearnerComparison, compare_learners
from labeltrain.report.rows import table
from labeltrain.report.summary import ExperimentSummary, StrategySummary, summarise
from labeltrain.report.writer import ReportFiles, write

__all__ = [
    "ExperimentSummary",
    "LearnerComparison",
    "ReportFiles",
    "StrategySummary",
    "compare_learners",
    "summarise",
    "table",
    "write",
]
