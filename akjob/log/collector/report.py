"""What the collector reports beside the log: while the log cannot be written it says so on standard error."""

import contextlib
import sys


def report(text: str) -> None:
    """Print a line on standard error, which supervisord keeps in a file of its own."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"akjob-collector: {text}\n")
        sys.stderr.flush()
