"""Lines of the log as a shim writes them."""

from pathlib import Path

from akjob import instants
from akjob.config import Paths

START_US = 1_774_742_400_000_000
"""2026-03-29T00:00:00Z, the day on which summer time begins in Berlin."""


def line(  # noqa: PLR0913 - what a line has
    run: str, seq: int, text: str = "x", *, job: str = "a/b", at_us: int = START_US, level: str = "info"
) -> bytes:
    """Return one ``run.output`` line."""
    return (
        f'{{"timestamp":"{instants.to_text(at_us)}","level":"{level}","event":"run.output","source":"run",'
        f'"job":"{job}","run":"{run}","seq":{seq},"stream":"stdout","line":"{text}"}}\n'
    ).encode()


def make_root(folder: Path) -> Paths:
    """Return the places below a fresh root."""
    paths = Paths(folder)
    (folder / "jobs.d").mkdir()
    paths.log_dir.mkdir(parents=True)
    return paths
