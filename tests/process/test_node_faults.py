"""Three nodes whose programs die, and one that is cut off the database's network: real programs, a real database."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from akjob.instants import SECOND, from_text
from akjob.ledger import open_reader
from akjob.ledger.postgres import connect
from tests import postgres
from tests.process.test_cluster import asked_again, configure, ended, started, states, time_us
from tests.roots import Place
from tests.support import until

pytestmark = [pytest.mark.process, postgres.needs_postgres]

ANY = '[schedule]\nafter = { jobs = ["first", "other"], mode = "any" }\n'
LEASE_S = 4  # as ``configure`` writes it


class Namespace:
    """A network namespace with one wire to this machine's own: a pair of virtual devices."""

    def __init__(self, number: int) -> None:
        self.name = f"akjob-test-{number}"
        self._device = f"akj{number}"
        net = f"198.18.{number % 256}"  # set aside for tests by RFC 2544
        self.network, self.outside, self.inside = f"{net}.0/30", f"{net}.1", f"{net}.2"
        self._ip("netns", "add", self.name)
        try:
            self._ip("link", "add", f"{self._device}o", "type", "veth", "peer", self._device, "netns", self.name)
            self._ip("address", "add", f"{self.outside}/30", "dev", f"{self._device}o")
            self._ip("link", "set", f"{self._device}o", "up")
            self._ip("-n", self.name, "address", "add", f"{self.inside}/30", "dev", self._device)
            self._ip("-n", self.name, "link", "set", "lo", "up")
            self.link("up")
        except OSError:
            self.remove()
            raise

    def link(self, state: str) -> None:
        """Set the wire ``up`` or ``down``."""
        self._ip("-n", self.name, "link", "set", self._device, state)

    def remove(self) -> None:
        """Remove it; its devices go with it."""
        self._ip("netns", "delete", self.name)

    def _ip(self, *arguments: str) -> None:
        done = subprocess.run(["ip", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            message = f"ip {' '.join(arguments)}: {done.stderr.strip()}"
            raise OSError(message)


class InNamespace(Place):
    """A root whose programs are in a network namespace. Files and Unix sockets are those of the machine."""

    def __init__(self, root: Path, namespace: str) -> None:
        super().__init__(root)
        self._namespace = namespace

    def argv(self, program: str) -> list[str]:
        """Return the command of a program."""
        return ["nsenter", f"--net=/run/netns/{self._namespace}", *super().argv(program)]


def folders(root: Path) -> Path:
    """Make the folders of a root."""
    for folder in ("jobs.d", "etc", "var/run"):
        (root / folder).mkdir(parents=True)
    return root


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    """Make a network namespace; skip where that is not permitted."""
    try:
        found = Namespace(os.getpid())
    except OSError as error:
        pytest.skip(f"a network namespace cannot be made here: {error}")
    yield found
    found.remove()


def test_an_end_makes_the_job_after_it_due_once_while_programs_die(tmp_path: Path) -> None:
    """Three nodes, each end on any of them: one slot of the next job for each, run once, whatever is killed."""
    with postgres.running() as server:
        url = server.database()
        nodes = [Place(folders(tmp_path / name)) for name in "abc"]
        for place in nodes:
            configure(place, url)
        ran = tmp_path / "ran"
        allow = '[run]\noverlap = "allow"\n'
        try:
            started(
                nodes,
                first=f'command = ["true"]\n[schedule]\nevery = "1s"\n{allow}',
                other='command = ["true"]\n',
                then=f'command = "echo $AKJOB_AFTER_RUN >> {ran}"\n{ANY}{allow}',
            )
            reader = open_reader(url)
            for program in ("akjobd", "akjob-node", "zygote"):
                for place in nodes:
                    until(place.loaded, 60.0)
                    seen = len(ended(reader, "then"))
                    place.kill(program)
                    until(lambda seen=seen: len(ended(reader, "then")) >= seen + 2, 60.0)  # type: ignore[misc]
            for place in nodes:
                until(place.loaded, 60.0)
            nodes[0].ask("run", job="other", args={})
            nodes[0].ask("pause", job="first")

            def followed() -> bool:
                """Return True once nothing is open, and each end has a slot of the next job."""
                ends = {str(row["slot_last"]) for job in ("first", "other") for row in ended(reader, job)}
                return not reader.open_runs() and ends <= {str(row["slot_last"]) for row in ended(reader, "then")}

            until(followed, 60.0)
            rows = ended(reader, "then")
            ends = {str(row["id"]): row for job in ("first", "other") for row in ended(reader, job)}
            assert {row["slot_last"] for row in rows} == {row["slot_last"] for row in ends.values()}
            assert len({(row["slot"], row["attempt"]) for row in rows}) == len(rows)
            after = ran.read_text().split()
            assert len(set(after)) == len(after)
            done = {str(row["slot_last"]) for row in rows if row["state"] == "succeeded"}
            assert done <= {str(ends[run]["slot_last"]) for run in after}
            assert len({row["node"] for row in rows if row["state"] == "succeeded"}) > 1
        finally:
            for place in nodes:
                place.stop()


def test_a_node_that_is_cut_off_has_nothing_alive_when_its_runs_start_elsewhere(
    tmp_path: Path, namespace: Namespace, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its wire goes down: its run is lost after the lease, is dead before its retry, and the node comes back alone."""
    text = 'command = "trap \'\' TERM; sleep 300"\n[run]\nkill_after = "25s"\nretry = { attempts = 2 }\n'
    with postgres.running(f"{postgres.FAST} -c listen_addresses={namespace.outside} -c port=5432") as server:
        url = server.database()
        server.admit(namespace.network)
        database = url.partition("@/")[2].partition("?")[0]
        cut_off = InNamespace(folders(tmp_path / "a"), namespace.name)
        other = Place(folders(tmp_path / "b"))
        configure(cut_off, f"postgresql://akjob@{namespace.outside}:5432/{database}")
        configure(other, url)
        try:
            started([other, cut_off], stubborn=text, short='command = ["true"]\n')
            until(lambda: states(url) == {"a": "up", "b": "up"}, 30.0)
            reader = open_reader(url)
            run = cut_off.run("stubborn")
            job = int(until(lambda: cut_off.running(run), 30.0)["pid"])
            namespace.link("down")
            cut_us = time_us()
            retry = until(lambda: [one for one in other.own_runs() if one["job"] == "stubborn"], 60.0)[0]
            assert not Path(f"/proc/{job}").exists()
            row = reader.run(run)
            assert (row["state"], row["node"]) == ("lost", "a")
            assert reader.run(str(retry["run"]))["attempt"] == 2
            took_s = (from_text(str(row["ended_at"])) - cut_us) / SECOND
            with connect(url) as connection:
                (over,) = connection.execute("SELECT lease_until FROM nodes WHERE node = 'a'").fetchone() or (None,)
            assert over is not None
            assert from_text(str(row["ended_at"])) >= int(over.timestamp() * SECOND)
            assert took_s < LEASE_S + 5
            namespace.link("up")
            up_us = time_us()
            until(lambda: states(url) == {"a": "up", "b": "up"}, 60.0)
            back_s = (time_us() - up_us) / SECOND
            until(cut_off.loaded, 60.0)
            short = until(lambda: asked_again(cut_off, "short"), 60.0)
            until(lambda: reader.run(short)["state"] == "succeeded", 60.0)
            assert reader.run(short)["node"] == "a"
            assert reader.run(run)["state"] == "lost"
        finally:
            namespace.link("up")
            for place in (cut_off, other):
                place.stop()
    with capfd.disabled():
        sys.stdout.write(
            f"\na node's wire down, lease {LEASE_S} s: its run lost after {took_s:.1f} s, dead before its retry; "
            f"the node up again {back_s:.1f} s after its wire\n"
        )
