"""The command line: one file a command group."""

from __future__ import annotations

import sys

INTERRUPTED = 130  # the exit code of Ctrl-C


def main() -> None:
    """Run the command line; errors of the user become one message and exit code 2."""
    import logging
    import os
    import signal
    import warnings

    # Threads that spin while they wait take the processor from the other worker processes.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from labeltrain.cli.app import app
    from labeltrain.errors import LabelTrainError

    warnings.showwarning = _show_warning
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("labeltrain").setLevel(logging.INFO)  # what is fetched, and from where
    signal.signal(signal.SIGTERM, _stop)
    try:
        app()
    except SystemExit as end:
        if end.code == INTERRUPTED:
            sys.stderr.write("stopped; what was done is kept: the same command goes on\n")
        raise
    except LabelTrainError as error:
        sys.stderr.write(f"error: {_as_options(error.problem)}\n")
        if error.remedy:
            sys.stderr.write(f"  remedy: {_as_options(error.remedy)}\n")
        sys.exit(2)
    except BrokenPipeError:
        # The reader of our output (head, less) has gone.
        sys.stderr.close()
        sys.exit(141)


def _stop(number: int, frame: object) -> None:
    """End as Ctrl-C does, so that workers are stopped and files are closed."""
    raise KeyboardInterrupt


def _as_options(text: str) -> str:
    """Write the names of Python arguments as the options of the command line."""
    import re

    names = (
        "text_column|label_column|id_column|image_column|audit_share|task_column|value_column|"
        "target_labels|test_share"
    )
    return re.sub(
        rf"(?<![\w.-])({names})(?![\w=])", lambda m: "--" + m[0].replace("_", "-"), text
    ).replace("--audit-share", "--audit")


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: object = None,
    line: str | None = None,
) -> None:
    sys.stderr.write(f"warning: {message}\n")
