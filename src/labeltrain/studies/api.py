"""`labeltrain.run`: a study from Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from labeltrain.metrics import Results
from labeltrain.studies.results import read_results
from labeltrain.studies.runner import Progress, run_study
from labeltrain.studies.spec import StudySpec, parse_spec


def run(
    spec: StudySpec | None = None,
    *,
    workspace: str | Path | None = None,
    workers: int = 1,
    progress: Progress | None = None,
    **options: Any,
) -> Results:
    """Run a study, or go on with it, and return its results.

    Parameters
    ----------
    spec : StudySpec, optional
        A whole spec; else its keys are given as `options`.
    workspace : path, optional
        Where it is kept, so that it can be resumed and reported; a temporary directory if not
        given.
    workers : int
        Worker processes. With more than 1, call this under ``if __name__ == "__main__":``.
    progress : Progress, optional
    **options
        ``dataset``, ``encoder``, ``learner``, ``strategies``, ``batch``, ``rounds``, ``seeds``
        and all other keys of a spec; unknown ones are refused.

    Returns
    -------
    labeltrain.metrics.Results
        Curves per strategy and seed; hand it to ``labeltrain.report.write``.

    Examples
    --------
    >>> import labeltrain
    >>> results = labeltrain.run(dataset="digits", strategies=["margin"], rounds=1, seeds=1)
    >>> results.curves[0].labels.tolist()
    [50, 100]
    """
    import tempfile

    study = spec if spec is not None else parse_spec(options)
    if workspace is not None:
        run_study(study, Path(workspace), workers=workers, progress=progress)
        return read_results(Path(workspace))
    with tempfile.TemporaryDirectory(prefix="labeltrain-") as folder:
        run_study(study, Path(folder) / "study", workers=workers, progress=progress)
        return read_results(Path(folder) / "study")
