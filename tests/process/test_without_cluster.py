"""Without ``[cluster]`` nothing of it is loaded: not by any program, and not because it happens to be installed."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.roots import Place

OF_THE_CLUSTER = (
    "psycopg", "procrastinate", "akjob.ledger.postgres", "akjob.ledger.nodes", "akjob.akjobd.news",
    "akjob.akjobd.taking", "akjob.remote.deliveries",
)  # fmt: skip
PROGRAMS = (
    "akjob.cli", "akjob.akjobd.daemon", "akjob.log.collector.program", "akjob.web.program", "akjob.notify.program",
    "akjob.remote.program", "akjob.web.app", "akjob.doctor", "akjob.cli.logs", "akjob.cli.run", "akjob.cli.nodes",
    "akjob.cli.history",
)  # fmt: skip


def test_no_program_imports_anything_of_it() -> None:
    """Each is imported in a fresh interpreter, which lists its modules then."""
    code = "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, *PROGRAMS], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert set(PROGRAMS) <= loaded
    assert loaded.isdisjoint(OF_THE_CLUSTER)


def test_a_command_that_may_ask_other_nodes_loads_no_http() -> None:
    """It reads a log, or follows a run, as fast as before: what asks other nodes is loaded where there are some."""
    code = "import sys; import akjob.cli.logs, akjob.cli.run; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {name for name in done.stdout.split() if name.partition(".")[0] in {"http", "email", "ssl"}}


class Without(Place):
    """A root whose programs fail as soon as they import anything of the cluster."""

    def code(self, program: str) -> str:
        """Return what runs a program."""
        return f"import sys; sys.modules.update(dict.fromkeys({OF_THE_CLUSTER!r})); {super().code(program)}"


@pytest.mark.process
def test_a_root_works_where_nothing_of_it_can_be_imported(tmp_path: Path) -> None:
    """Slots run, and akjob-node has nothing to do but to wait for its end."""
    for folder in ("jobs.d", "etc", "var/run"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "etc/akjob.toml").touch()
    place = Without(tmp_path)
    try:
        place.start()
        place.start("akjob-node")
        assert place.go('command = ["true"]\n')["state"] == "succeeded"
        node = place.pid("akjob-node")
        assert place.pid("akjob-node") == node
        assert place.said().count("ModuleNotFoundError") == 0
    finally:
        place.stop()
