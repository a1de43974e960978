"""``var/notify.db``: how far the transitions were read, the incidents, and the messages to send.

What transitions lead to is one commit: their number, the incidents, and the notes. So whatever is killed, nothing is
told twice and nothing is lost. A delivery keeps its id over all its tries, and the receiver can tell a repetition.
"""

import json
import os
import secrets
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from akjob.control.status import MessageCounts, Status
from akjob.errors import AkjobError, UsageError
from akjob.instants import DAY, HOUR, MINUTE, SECOND, from_text, to_text
from akjob.notify.gathering import GATHER_US, Pace, Parcel, ripen
from akjob.notify.model import Absence, Incident, Note, PolicyState, Remembered
from akjob.processes import identity
from akjob.program import Holding, beside_database, is_database_in_place, put_database_back, use_write_ahead_log

State = Literal["pending", "held", "sent", "dead"]

RETRIES_US = (10 * SECOND, MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR)
"""How long a failed try waits for the next one; the last figure holds for all further ones, up to a day."""
GIVE_UP_US = DAY
PING_RETRIES_US = (10 * SECOND, MINUTE, 5 * MINUTE, 15 * MINUTE)
"""A ping is tried five times: at once, and after each of these."""
FALLBACK_AFTER = 2
"""So many failed tries of a channel, and its fallback is sent the message too."""

_BUSY_S = 10.0
_KEEP_US = 90 * DAY
PING = "ping:"
"""Begins the channel of a job's pings."""


class Delivery(Struct, frozen=True, kw_only=True):
    """One row of ``deliveries``. Instants are UTC text; ``payload`` is the message as JSON, or None until sealed."""

    id: str
    channel: str
    kind: str
    incident: int | None
    jobs: list[str]
    opened_at: str
    due_at: str
    sealed_at: str | None
    ended_at: str | None
    state: State
    attempts: int
    error: str | None
    payload: dict[str, Any] | None

    def as_json(self) -> dict[str, Any]:
        """Return the keys of ``akjob notify list --json``."""
        return {
            "id": self.id,
            "at": self.opened_at,
            "channel": self.channel,
            "kind": self.kind,
            "jobs": self.jobs,
            "state": self.state,
            "attempts": self.attempts,
            "error": self.error,
            "incident": self.incident,
        }


class Outbox:
    """The one writer beside the commands' acknowledgements. Raises AkjobError where the file cannot be used."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._connection = self._connected()
        except (OSError, sqlite3.Error) as error:
            raise AkjobError(
                f"{path}: the outbox cannot be opened: {error}",
                hint="akjob-notify must be able to write var/; a damaged file can be moved aside",
            ) from error

    def _connected(self) -> sqlite3.Connection:
        self._connection = sqlite3.connect(self._path, timeout=_BUSY_S, isolation_level=None)
        self._prepare()
        self._identity = identity(self._path)
        return self._connection

    def holding(self) -> Holding:
        """Return the file as something that may be removed while it is open: no message is lost or told twice."""
        return Holding(self._path, self._is_in_place, self._put_back, beside_database(self._path))

    def _is_in_place(self) -> bool:
        return is_database_in_place(self._path, self._identity)

    def _put_back(self) -> None:
        """Write all of it to its path again; a file that another program put there stays, and is used from now on."""
        try:
            if identity(self._path) in (None, self._identity):
                put_database_back(self._connection, self._path)
            else:
                self._connection.close()
            self._connection = self._connected()
        except sqlite3.Error as error:
            raise AkjobError(f"{self._path}: {error}", hint="free space on that disk, or make it writable") from error

    def _prepare(self) -> None:
        use_write_ahead_log(self._connection, _BUSY_S)
        self._connection.execute("PRAGMA synchronous = FULL")
        with self.commit():  # a command may open the file in the same moment
            version: int = self._connection.execute("PRAGMA user_version").fetchone()[0]
            for number, statements in _migrations():
                if number > version:
                    for statement in statements:
                        self._connection.execute(statement)
                    self._connection.execute(f"PRAGMA user_version = {number}")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def commit(self) -> Iterator[None]:
        """Make everything in the block one commit, or nothing of it."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    # -- how far, and what is remembered -------------------------------------------------------------------------------

    def seq(self) -> int | None:
        """Return the number of the last transition that was read; None before the first."""
        return self._meta("seq")

    def keep_seq(self, seq: int) -> None:
        """Note how far the transitions were read."""
        self._connection.execute("INSERT OR REPLACE INTO meta VALUES ('seq', ?)", (seq,))

    def next_incident(self) -> int:
        """Return the number of the next incident."""
        (last,) = self._connection.execute("SELECT max(number) FROM incidents").fetchone()
        return (last or 0) + 1

    def absence(self) -> Absence | None:
        """Return the downtime of akjobd whose cost is still being gathered, or None."""
        row = self._connection.execute("SELECT state FROM absence").fetchone()
        return None if row is None else msgspec.json.decode(row[0], type=Absence)

    def keep_absence(self, absence: Absence | None) -> None:
        """Write the downtime that is being gathered, or that there is none."""
        if absence is None:
            self._connection.execute("DELETE FROM absence")
        else:
            self._connection.execute("INSERT OR REPLACE INTO absence VALUES (1, ?)", (msgspec.json.encode(absence),))

    def _meta(self, key: str) -> int | None:
        row = self._connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else int(row[0])

    def remembered(self, seen_us: int | None) -> Remembered:
        """Return what the policy goes on from; ``seen_us`` is when the last transition that was read happened."""
        return Remembered(next_incident=self.next_incident(), jobs=self.jobs(), seen_us=seen_us, absence=self.absence())

    def jobs(self) -> dict[str, PolicyState]:
        """Return what was remembered of all jobs, their open incidents included."""
        rows = self._connection.execute("SELECT job, failures, paused FROM jobs")
        found = {job: PolicyState(failures=failures, paused=bool(paused)) for job, failures, paused in rows}
        for incident in self.incidents():
            found.setdefault(incident.job, PolicyState()).incidents[incident.trouble] = incident
        return found

    def keep_job(self, job: str, state: PolicyState) -> None:
        """Write what is remembered of a job, and its open incidents."""
        self._connection.execute("INSERT OR REPLACE INTO jobs VALUES (?, ?, ?)", (job, state.failures, state.paused))
        for incident in state.incidents.values():
            self.keep_incident(incident)

    def keep_incident(self, incident: Incident) -> None:
        """Write an incident; who acknowledged it is the commands' matter."""
        self._connection.execute(
            "INSERT INTO incidents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, ?) "
            "ON CONFLICT (number) DO UPDATE SET kind = excluded.kind, told_at = excluded.told_at, run = excluded.run, "
            "slot = excluded.slot, closed_at = excluded.closed_at",
            (
                incident.number,
                incident.job,
                incident.trouble,
                incident.kind,
                to_text(incident.opened_us),
                to_text(incident.notified_us),
                incident.run,
                _text(incident.slot_us),
                _text(incident.acknowledged_us),
                _text(incident.closed_us),
            ),
        )

    def incidents(self, *, only_open: bool = True) -> list[Incident]:
        """Return the incidents, by number."""
        where = " WHERE closed_at IS NULL" if only_open else ""
        rows = self._connection.execute(
            "SELECT number, job, trouble, kind, opened_at, told_at, run, slot, acknowledged_at, closed_at "  # noqa: S608
            f"FROM incidents{where} ORDER BY number"
        )
        return [
            Incident(
                number=number,
                job=job,
                trouble=trouble,
                kind=kind,
                opened_us=from_text(opened),
                notified_us=from_text(notified),
                run=run,
                slot_us=_us(slot),
                acknowledged_us=_us(acknowledged),
                closed_us=_us(closed),
            )
            for number, job, trouble, kind, opened, notified, run, slot, acknowledged, closed in rows
        ]

    def acknowledged(self) -> list[int]:
        """Return the numbers of the open incidents that were acknowledged."""
        rows = self._connection.execute(
            "SELECT number FROM incidents WHERE closed_at IS NULL AND acknowledged_at IS NOT NULL"
        )
        return [number for (number,) in rows]

    def acknowledge(self, number: int, by: str, reason: str, now_us: int) -> Incident:
        """End the reminders of an open incident. Raises AkjobError if there is none of this number."""
        with self.commit():
            found = next((one for one in self.incidents(only_open=False) if one.number == number), None)
            if found is None:
                raise UsageError(
                    f"there is no incident {number}",
                    hint="`akjob notify list` shows the messages",
                )
            if found.closed_us is not None:
                raise AkjobError(f"incident {number} of {found.job} ended at {to_text(found.closed_us)}")
            self._connection.execute(
                "UPDATE incidents SET acknowledged_at = ?, acknowledged_by = ?, reason = ? WHERE number = ?",
                (to_text(now_us), by, reason or None, number),
            )
        found.acknowledged_us = now_us
        return found

    # -- notes and parcels ---------------------------------------------------------------------------------------------

    def add(self, channel: str, note: Note, now_us: int) -> None:
        """Put a note into the channel's open parcel, or into a new one that goes out once it has been gathered."""
        row = self._connection.execute(
            "SELECT id, kind, incident, jobs FROM deliveries "
            "WHERE channel = ? AND payload IS NULL AND state IN ('pending', 'held')",
            (channel,),
        ).fetchone()
        if row is None:
            delivery, number = secrets.token_hex(16), 0
            self._connection.execute(
                "INSERT INTO deliveries (id, channel, kind, incident, jobs, opened_at, due_at, state) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, 'pending')",
                (
                    delivery,
                    channel,
                    note.kind,
                    note.incident,
                    json.dumps([note.job]),
                    to_text(now_us),
                    to_text(now_us + GATHER_US),
                ),
            )
        else:
            delivery = row[0]
            (number,) = self._connection.execute(
                "SELECT count(*) FROM notes WHERE delivery = ?", (delivery,)
            ).fetchone()
            jobs = json.loads(row[3])
            kind = row[1] if row[1] == note.kind else "several"
            incident = row[2] if row[2] == note.incident else None
            self._connection.execute(
                "UPDATE deliveries SET kind = ?, incident = ?, jobs = ? WHERE id = ?",
                (kind, incident, json.dumps(jobs if note.job in jobs else [*jobs, note.job]), delivery),
            )
        self._connection.execute("INSERT INTO notes VALUES (?, ?, ?)", (delivery, number, msgspec.json.encode(note)))

    def ripe(self, paces: dict[str, Pace], now_us: int) -> list[Delivery]:
        """Return the open parcels that go out now; those that are held are noted as such."""
        found = []
        for delivery in self._select(
            "payload IS NULL AND state IN ('pending', 'held') AND due_at <= ?", to_text(now_us)
        ):
            parcel = Parcel(
                id=delivery.id,
                channel=delivery.channel,
                opened_us=from_text(delivery.opened_at),
                due_us=from_text(delivery.due_at),
            )
            if ripen(parcel, paces.get(delivery.channel, Pace()), self._sealed_us(delivery.channel, now_us), now_us):
                found.append(delivery)
            else:
                self._connection.execute(
                    "UPDATE deliveries SET state = ?, due_at = ? WHERE id = ?",
                    (parcel.state, to_text(parcel.due_us), parcel.id),
                )
        return found

    def release_held(self) -> None:
        """Have what is held looked at again: other settings may let it go."""
        self._connection.execute("UPDATE deliveries SET due_at = opened_at WHERE state = 'held' AND payload IS NULL")

    def _sealed_us(self, channel: str, now_us: int) -> list[int]:
        rows = self._connection.execute(
            "SELECT sealed_at FROM deliveries WHERE channel = ? AND sealed_at > ? ORDER BY sealed_at",
            (channel, to_text(now_us - HOUR)),
        )
        return [from_text(at) for (at,) in rows]

    def notes(self, delivery: str) -> list[Note]:
        """Return the notes of a parcel, in the order in which they came."""
        rows = self._connection.execute("SELECT note FROM notes WHERE delivery = ? ORDER BY number", (delivery,))
        return [msgspec.json.decode(note, type=Note) for (note,) in rows]

    def seal(self, delivery: str, payload: dict[str, Any], now_us: int) -> None:
        """Close a parcel: its message is made, and its first try is due."""
        at = to_text(now_us)
        self._connection.execute(
            "UPDATE deliveries SET payload = ?, state = 'pending', sealed_at = ?, due_at = ? WHERE id = ?",
            (json.dumps(payload), at, at, delivery),
        )
        for note in self.notes(delivery):
            if note.incident is not None:
                self._connection.execute(
                    "INSERT OR IGNORE INTO threads SELECT ?, channel, id FROM deliveries WHERE id = ?",
                    (note.incident, delivery),
                )
        self._connection.execute("DELETE FROM notes WHERE delivery = ?", (delivery,))

    def thread(self, incident: int | None, channel: str) -> str | None:
        """Return the id of an incident's first delivery on a channel, or None."""
        row = self._connection.execute(
            "SELECT delivery FROM threads WHERE incident IS ? AND channel = ?", (incident, channel)
        ).fetchone()
        return None if row is None else str(row[0])

    def post(self, channel: str, kind: str, jobs: Sequence[str], payload: dict[str, Any], now_us: int) -> str:
        """Put a finished message in, to be sent at once: a ping, or a copy for a fallback. Return its id."""
        delivery, at = secrets.token_hex(16), to_text(now_us)
        self._connection.execute(
            "INSERT INTO deliveries (id, channel, kind, incident, jobs, opened_at, due_at, sealed_at, state, payload) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'pending', ?)",
            (
                delivery,
                channel,
                kind,
                payload.get("incident"),
                json.dumps(list(jobs)),
                at,
                at,
                at,
                json.dumps(payload | ({"id": delivery} if "id" in payload else {})),
            ),
        )
        return delivery

    def reserve(self, channel: str, kind: str, payload: dict[str, Any], now_us: int) -> Delivery:
        """Put a finished message in that its caller sends itself, at once; where that never ends it is dead."""
        delivery = self.post(channel, kind, [], payload, now_us)
        self._connection.execute("UPDATE deliveries SET state = 'dead' WHERE id = ?", (delivery,))
        return self._select("id = ?", delivery)[0]

    # -- sending -------------------------------------------------------------------------------------------------------

    def due(self, now_us: int) -> list[Delivery]:
        """Return the finished messages whose next try has come, oldest first.

        Of a run's pings the oldest alone: a start that arrived after its end would look like a run under way.
        """
        found = self._select("payload IS NOT NULL AND state = 'pending' AND due_at <= ?", to_text(now_us))
        first = {delivery for _, delivery, _ in self._next_pings()}
        return [one for one in found if not one.channel.startswith(PING) or one.id in first]

    def wake_us(self, besides: Collection[str] = ()) -> int | None:
        """Return when the next parcel ripens or the next try is due; None if nothing waits.

        A finished message of one of the channels ``besides`` waits for the batch before it, not for a time.
        """
        rows = self._connection.execute(
            "SELECT channel, payload IS NULL, min(due_at) FROM deliveries WHERE state IN ('pending', 'held') "
            "AND channel NOT LIKE ? GROUP BY channel, payload IS NULL",
            (f"{PING}%",),
        )
        times = [at for channel, is_open, at in rows if is_open or channel not in besides]
        times += [at for channel, _, at in self._next_pings() if channel not in besides]
        return min(map(from_text, times), default=None)

    def _next_pings(self) -> list[tuple[str, str, str]]:
        """Return the oldest ping of each run that waits, as channel, id and when it is due."""
        rows = self._connection.execute(
            "SELECT channel, id, due_at, min(rowid) FROM deliveries WHERE state = 'pending' AND channel LIKE ? "
            "GROUP BY channel, json_extract(payload, '$.run')",
            (f"{PING}%",),
        )
        return [(channel, delivery, at) for channel, delivery, at, _ in rows]

    def sent(self, delivery: Delivery, now_us: int) -> None:
        """Note that a message was taken."""
        self._count(delivery.channel, "sent")
        self._connection.execute(
            "UPDATE deliveries SET state = 'sent', attempts = attempts + 1, error = NULL, ended_at = ? WHERE id = ?",
            (to_text(now_us), delivery.id),
        )

    def _count(self, channel: str, result: str) -> None:
        if not channel.startswith(PING):
            self._connection.execute(
                "INSERT INTO counters VALUES (?, ?, 1) ON CONFLICT (channel, result) DO UPDATE SET count = count + 1",
                (channel, result),
            )

    def failed(self, delivery: Delivery, error: str, now_us: int, *, for_good: bool = False) -> State:
        """Note a try that failed; return what the delivery is now: pending again, or dead."""
        attempts = delivery.attempts + 1
        waits = PING_RETRIES_US if delivery.channel.startswith(PING) else RETRIES_US
        opened_us = from_text(delivery.sealed_at or delivery.opened_at)
        ping = delivery.channel.startswith(PING)
        over = attempts > len(waits) if ping else now_us - opened_us >= GIVE_UP_US
        state: State = "dead" if over or for_good else "pending"
        if state == "dead":
            self._count(delivery.channel, "dead")
        due_us = now_us + waits[min(attempts, len(waits)) - 1]
        self._connection.execute(
            "UPDATE deliveries SET state = ?, attempts = ?, error = ?, due_at = ?, ended_at = ? WHERE id = ?",
            (state, attempts, error, to_text(due_us), to_text(now_us) if state == "dead" else None, delivery.id),
        )
        return state

    # -- reading back --------------------------------------------------------------------------------------------------

    def deliveries(self, limit: int = 100) -> list[Delivery]:
        """Return the newest deliveries, newest first."""
        return self._select("1 ORDER BY opened_at DESC, rowid DESC LIMIT ?", limit, order="")

    def counts(self) -> dict[tuple[str, str], int]:
        """Return how many messages each channel was sent, and how many are dead, by (channel, result)."""
        rows = self._connection.execute("SELECT channel, result, count FROM counters")
        return {(channel, result): count for channel, result, count in rows}

    def waiting(self) -> int:
        """Return how many deliveries are pending or held."""
        (count,) = self._connection.execute(
            "SELECT count(*) FROM deliveries WHERE state IN ('pending', 'held')"
        ).fetchone()
        return int(count)

    def standing(self, now_us: int) -> MessageCounts:
        """Return how many deliveries wait, and how many were given up within the last week."""
        rows = self._connection.execute(
            "SELECT state, count(*) FROM deliveries WHERE state IN ('pending', 'held') "
            "OR (state = 'dead' AND ended_at > ?) GROUP BY state",
            (to_text(now_us - 7 * DAY),),
        )
        counts = dict(rows.fetchall())
        return MessageCounts(**{state: counts.get(state, 0) for state in ("pending", "held", "dead")})

    def prune(self, now_us: int) -> None:
        """Delete what ended more than 90 days ago."""
        before = to_text(now_us - _KEEP_US)
        with self.commit():
            self._connection.execute("DELETE FROM deliveries WHERE ended_at < ?", (before,))
            self._connection.execute("DELETE FROM incidents WHERE closed_at < ?", (before,))
            self._connection.execute("DELETE FROM threads WHERE incident NOT IN (SELECT number FROM incidents)")

    def _select(self, where: str, value: object, order: str = " ORDER BY opened_at, rowid") -> list[Delivery]:
        rows = self._connection.execute(
            f"SELECT {', '.join(Delivery.__struct_fields__)} FROM deliveries WHERE {where}{order}",  # noqa: S608 - ours
            (value,),
        )
        return [_delivery(row) for row in rows]


def with_messages(status: Status, path: Path, now_us: int) -> Status:
    """Return a status with what the outbox at ``path`` has to send; as it is where none can be read."""
    if not path.exists():
        return status
    try:
        outbox = Outbox(path)
    except AkjobError:
        return status
    try:
        return replace(status, messages=outbox.standing(now_us))
    finally:
        outbox.close()


def _delivery(row: Iterable[Any]) -> Delivery:
    values = dict(zip(Delivery.__struct_fields__, row, strict=True))
    values["jobs"] = json.loads(values["jobs"])
    values["payload"] = None if values["payload"] is None else json.loads(values["payload"])
    return Delivery(**values)


def _migrations() -> list[tuple[int, list[str]]]:
    """Return the number and the statements of each migration; sqlite3's own executescript would commit first."""
    folder = files("akjob.notify") / "migrations"
    found = [(int(entry.name.split("_")[0]), entry.read_text(encoding="utf-8")) for entry in folder.iterdir()]
    return [(number, list(_statements(text))) for number, text in sorted(found)]


def _statements(text: str) -> Iterator[str]:
    statement = ""
    for line in text.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _text(instant_us: int | None) -> str | None:
    return None if instant_us is None else to_text(instant_us)


def _us(text: str | None) -> int | None:
    return None if text is None else from_text(text)
