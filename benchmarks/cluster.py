"""l. Many machines: three nodes with one ledger in PostgreSQL, all of them on this machine.

Claims a second of nodes that race for the same slots, from a slot to the job's first instruction on the node that has
taken it, and what an idle node costs: memory, and what it asks the database.
"""

import re
import subprocess
import sys
import time
from contextlib import ExitStack

from akjob.instants import SECOND, from_text
from akjob.ledger import RunRow, Writes
from benchmarks.book import AKJOB, Book, quantile
from benchmarks.machine import next_second, pss_bytes, sleep_until, until
from benchmarks.place import Place
from tests import postgres

NODES = ("a", "b", "c")
CLAIMS = "slots claimed a second, three nodes racing"
START = "slot to first instruction on the taker"
QUERIES = "idle: queries a minute of a node"
MEMORY = "idle: memory of akjob-node (PSS)"

_SLOTS = 9_000
_A_TURN = 100
_JOBS = 4
_BEGIN_S = 8
_STATEMENT = re.compile(
    rb"^(akjob(?:-node)?) LOG:  (?:statement|execute [^:]*): (?!BEGIN|COMMIT|ROLLBACK)", re.MULTILINE
)


def measure(book: Book, rounds: int, *, starts_s: int = 40, idle_s: int = 60) -> None:
    """Measure all of it; where PostgreSQL is not installed, say so."""
    if postgres.programs() is None:
        book.remark("l. PostgreSQL is not installed: the cluster was not measured")
        return
    with postgres.running("-c log_line_prefix='%a '") as server:  # as durable as it is by default
        for _ in range(rounds):
            _claims(book, server.database())
        with ExitStack() as stack:
            url = server.database()
            places = [_node(stack.enter_context(Place()), name, url) for name in NODES]
            _starts(book, places, starts_s)
            _idle(book, server, url, places, idle_s)


def _claims(book: Book, url: str) -> None:
    """Let three processes claim the same slots, as many at once as a turn of akjobd has in a rush."""
    from akjob.ledger.postgres import PostgresStore, connect  # noqa: PLC0415 - of the extra `cluster`

    PostgresStore(url).close()
    code = "import sys; from benchmarks.cluster import claim; claim(sys.argv[1], sys.argv[2], float(sys.argv[3]))"
    begin_s = time.time() + 3
    racers = [
        subprocess.Popen([sys.executable, "-c", code, url, node, str(begin_s)], stdout=subprocess.PIPE)
        for node in NODES
    ]
    ends = [float(racer.communicate()[0]) for racer in racers]
    with connect(url) as connection:
        rows, slots = connection.execute("SELECT count(*), count(DISTINCT (job, slot)) FROM runs").fetchone() or (0, 0)
    took_s = max(ends) - begin_s
    book.add("l", CLAIMS, AKJOB, slots / took_s, "/s", lost=_SLOTS - slots, twice=rows - slots)


def claim(url: str, node: str, begin_s: float) -> None:
    """Claim all slots, a turn's at a time, from an instant on; print when that was done."""
    from akjob.ledger.postgres import PostgresStore  # noqa: PLC0415 - as above

    store = PostgresStore(url, node)
    sleep_until(begin_s)
    for first in range(0, _SLOTS, _A_TURN):
        store.commit(Writes(claims=[_row(node, number) for number in range(first, first + _A_TURN)]))
    print(time.time(), flush=True)
    store.close()


def _row(node: str, number: int) -> RunRow:
    slot_us = number // _A_TURN * SECOND
    job = f"job{number % _A_TURN}"
    return RunRow(id=f"{number:012x}{node}", job=job, slot_us=slot_us, slot_last_us=slot_us, queued_us=slot_us)


def _node(place: Place, name: str, url: str) -> Place:
    settings = f'[cluster]\nurl = "{url}"\nnode = "{name}"\n[web]\nenabled = false\n'
    (place.root / "etc" / "akjob.toml").write_text(settings, encoding="utf-8")
    return place


def _starts(book: Book, places: list[Place], seconds: int) -> None:
    """Let each second have some slots, taken by whichever node is first."""
    stamps = places[0].stamps
    for place in places:
        for number in range(_JOBS):
            code = f'callable = "stamping:stamp"\nargs = ["{stamps}", "job{number}"]\n'
            place.job(f"job{number}", f'{code}[schedule]\nevery = "1s"\n')
        place.start()
        place.spawn("akjob-node")
    first = next_second(_BEGIN_S)
    sleep_until(first + seconds + 2)
    for place in places:
        for number in range(_JOBS):
            (place.root / "jobs.d" / f"job{number}.toml").unlink()
    lates: dict[tuple[bytes, int], float] = {}
    for line in stamps.read_bytes().splitlines():
        name, at_ns, slot = line.split()
        slot_us = from_text(slot.decode())
        if first <= slot_us // SECOND < first + seconds:
            lates[name, slot_us] = int(at_ns) / 1e6 - slot_us / 1e3
    lost = seconds * _JOBS - len(lates)
    book.add("l", f"{START}, p50", AKJOB, quantile(list(lates.values()), 0.5), "ms", lost=lost)
    book.add("l", f"{START}, p99", AKJOB, quantile(list(lates.values()), 0.99), "ms")
    book.sample("l start akjob", list(lates.values()))


def _idle(book: Book, server: postgres.Server, url: str, places: list[Place], seconds: int) -> None:
    """Count what idle nodes ask: the server writes every statement down for so long."""
    from akjob.ledger.postgres import connect  # noqa: PLC0415 - as above

    until(lambda: not any(place.status()["jobs"]["loaded"] for place in places), 30)
    sleep_until(time.time() + 5)
    with connect(url) as connection:
        connection.execute("ALTER SYSTEM SET log_statement = 'all'")
        connection.execute("SELECT pg_reload_conf()")
    log = server.folder / "log"
    sleep_until(time.time() + 1)
    size = log.stat().st_size
    sleep_until(time.time() + seconds)
    asked = [found[1] for found in _STATEMENT.finditer(log.read_bytes()[size:])]
    a_minute = 60 / seconds / len(places)
    book.add("l", QUERIES, AKJOB, len(asked) * a_minute, "")
    book.remark(
        f"l. of the queries, akjobd asks {asked.count(b'akjob') * a_minute:.0f} a minute, "
        f"akjob-node {asked.count(b'akjob-node') * a_minute:.0f}"
    )
    pids = [place.processes["akjob-node"].pid for place in places]
    book.add("l", MEMORY, AKJOB, pss_bytes(pids) / len(pids) / 1e6, "MB")
