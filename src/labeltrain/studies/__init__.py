"""Studies: experiments from a spec, run, resumed and read back."""

from __future__ import annotations

from labeltrain.studies.api import run
from labeltrain.studies.results import read_results
from labeltrain.studies.runner import run_study
from labeltrain.studies.spec import ExperimentSpec, StudySpec, load_spec

__all__ = ["ExperimentSpec", "StudySpec", "load_spec", "read_results", "run", "run_study"]
