"""News of other nodes: a thread listens to the database, and the agenda hears what was written once it is still.

PostgreSQL announces each commit. Behind a pooler, which drops announcements, the thread looks every second.
"""

import threading

from akjob.agenda import Agenda, FarStop
from akjob.akjobd.loop import Loop
from akjob.akjobd.taking import Taking
from akjob.akjobd.writer import Writer
from akjob.daemon_log import Say
from akjob.errors import AkjobError
from akjob.instants import SECOND
from akjob.ledger.postgres import CommitListener, PostgresStore

_LOOK_S = 30.0  # for an announcement that was lost
_POLL_S = 1.0
_AGAIN_S = 1.0


class NewsReader:
    """Gives the agenda what other nodes wrote, between two turns, while nothing of this one waits to be written."""

    def __init__(self, loop: Loop, url: str, store: PostgresStore, say: Say) -> None:
        self._loop = loop
        self._store = store
        self._say = say
        self._listener = CommitListener(url, store.writer)
        self._seq = 0
        self._fresh = threading.Event()
        self._closed = threading.Event()

    def begin(self, agenda: Agenda, writer: Writer, taking: Taking, now_us: int) -> None:
        """Take in what other nodes have under way, and listen from now on. Raises AkjobError."""
        self._agenda, self._writer, self._taking = agenda, writer, taking
        found = self._store.elsewhere()
        self._seq = found.seq
        agenda.hear(found, now_us)
        self._again = self._loop.timer("news", self._take, SECOND)
        threading.Thread(target=self._listen, name="news", daemon=True).start()

    def step(self, now_us: int) -> None:
        """Take in what is new; call it after the writer has written."""
        if self._fresh.is_set():
            self._take(now_us)

    def catch_up(self, now_us: int) -> bool:
        """Take in what was written until now; return False where there is nothing new, or it has to wait."""
        before = self._seq
        self._take(now_us)
        return self._seq > before

    def close(self) -> None:
        """Listen no more. Does not wait."""
        self._closed.set()

    def stop_elsewhere(self, stops: list[FarStop]) -> None:
        """End runs that wait for a node, and have other nodes end theirs."""
        try:
            left = self._taking.cancel(stops)
            self._store.ask_stop([(one.run, one.node, one.reason, one.by) for one in left])
        except AkjobError as error:
            self._say("error", "node.not_asked", runs=[one.run for one in stops], message=error.message)

    def _take(self, now_us: int) -> None:
        if self._writer.is_held or self._agenda.pending:
            self._fresh.set()  # a turn follows: what is pending is about to be written
            return
        self._fresh.clear()
        try:
            found = self._store.news(self._seq)
        except AkjobError:
            self._fresh.set()
            self._again.at_us = now_us + SECOND
            return
        if found.seq > self._seq or found.stops:
            self._seq = found.seq
            self._agenda.hear(found, now_us)
            self._fresh.set()  # there may be more than one answer holds
            self._loop.wake()

    # -- in the thread ------------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        while not self._closed.is_set():
            try:
                heard = self._listener.wait(_LOOK_S, _POLL_S)
            except AkjobError:
                heard = True  # whatever was announced meanwhile was not heard
                self._closed.wait(_AGAIN_S)
            if heard:
                self._fresh.set()
                self._loop.wake()
