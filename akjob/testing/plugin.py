"""The pytest plug-in: ``pytest --akjob`` checks job files, and fixtures make roots, simulations, runs and akjobd.

pytest loads this module at every start, in projects that have no job either: it imports akjob only when it is used.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from akjob.testing.checking import JobFileCollector
    from akjob.testing.daemon import Daemon
    from akjob.testing.root import Root
    from akjob.testing.runs import Result
    from akjob.testing.simulation import Simulation


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--akjob``."""
    group = parser.getgroup("akjob", "akjob: scheduled jobs")
    group.addoption("--akjob", action="store_true", help="Check each job file among the paths (jobs.d/…/*.toml), too.")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> "JobFileCollector | None":
    """Collect a job file, where ``--akjob`` is given."""
    if file_path.suffix != ".toml" or not parent.config.getoption("akjob"):
        return None
    from akjob.testing.checking import JobFileCollector, is_job_file  # noqa: PLC0415 - see above

    return JobFileCollector.from_parent(parent, path=file_path) if is_job_file(file_path) else None


@pytest.fixture
def akjob_root(tmp_path: Path) -> "Root":
    """Return a fresh root in ``tmp_path``, with ``write(name, text)`` and ``validate()``."""
    from akjob.testing.root import Root  # noqa: PLC0415 - see above

    return Root(tmp_path / "root")


@pytest.fixture
def akjob_simulation() -> "type[Simulation]":
    """Return :class:`akjob.testing.Simulation`."""
    from akjob.testing.simulation import Simulation  # noqa: PLC0415 - see above

    return Simulation


@pytest.fixture
def akjob_run() -> "Callable[..., Result]":
    """Return :func:`akjob.testing.run`."""
    from akjob.testing.runs import run  # noqa: PLC0415 - see above

    return run


@pytest.fixture
def akjob_daemon(akjob_root: "Root") -> "Iterator[Daemon]":
    """Yield a real akjobd of ``akjob_root``; it and all its runs are ended with the test."""
    from akjob.testing.daemon import Daemon  # noqa: PLC0415 - see above

    daemon = Daemon(akjob_root)
    try:
        daemon.start()
        yield daemon
    finally:
        daemon.stop()


def pytest_configure(config: pytest.Config) -> None:
    """Look into ``jobs.d`` too where ``--akjob`` is given without a path and the project names its test paths."""
    jobs_d: Any = config.rootpath / "jobs.d"
    if config.getoption("akjob") and config.args_source == config.ArgsSource.TESTPATHS and jobs_d.is_dir():
        config.args.append(str(jobs_d))
