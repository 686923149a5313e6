"""Studies of many targets: each task is the target once, the others are its sources."""

from __future__ import annotations

from labeltrain.multitask.study.page import write_study_page
from labeltrain.multitask.study.results import StudyResults, read_study
from labeltrain.multitask.study.running import run_study
from labeltrain.multitask.study.spec import MultitaskStudySpec, make_study_spec
from labeltrain.multitask.study.summary import StudySummary, summarise_study

__all__ = [
    "MultitaskStudySpec",
    "StudyResults",
    "StudySummary",
    "make_study_spec",
    "read_study",
    "run_study",
    "summarise_study",
    "write_study_page",
]
