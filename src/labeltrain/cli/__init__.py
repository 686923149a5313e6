"""The command line: one file a command group."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; errors of the user become one message and exit code 2."""
    import logging
    import os
    import warnings

    # Threads that spin while they wait take the processor from the other worker processes.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from labeltrain.cli.app import app
    from labeltrain.errors import LabelTrainError

    warnings.showwarning = _show_warning
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("labeltrain").setLevel(logging.INFO)  # what is fetched, and from where
    try:
        app()
    except LabelTrainError as error:
        sys.stderr.write(f"error: {error.problem}\n")
        if error.remedy:
            sys.stderr.write(f"  remedy: {error.remedy}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; run the same command again to go on\n")
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output (head, less) has gone.
        sys.stderr.close()
        sys.exit(141)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: object = None,
    line: str | None = None,
) -> None:
    sys.stderr.write(f"warning: {message}\n")
