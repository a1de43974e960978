"""The page of messages: who is told nothing now, what waits, and what a limited token must not know."""

from datetime import time

from akjob.config import Config
from akjob.config.notify import Channel, Quiet
from akjob.instants import MINUTE
from akjob.notify.model import Note
from akjob.notify.outbox import Outbox
from tests.unit.cli.root import NOW_US, Root
from tests.unit.web.serving import served

ALWAYS = Quiet(from_=time(0), until=time(23, 59, 59))


def test_silences_are_listed(root: Root) -> None:
    """A channel in its quiet hours, and a job that is paused: with the reason, and only to those who see the job."""
    for name in ("mine/a", "theirs/b"):
        spec = root.job(name, 'command = ["true"]\n')
        assert spec is not None
        root.loaded(spec, paused_at_us=NOW_US, pause_reason="the disk is full", paused_by="ada")
    channels = {"night": Channel(command=("true",), quiet=ALWAYS), "day": Channel(command=("true",))}
    with served(root, config=Config(channels=channels)) as site:
        text = site.browser().get("/messages").text
        assert "channel night" in text
        assert "channel day" not in text
        assert "paused by ada: the disk is full" in text
        limited = site.token("read", jobs="mine/**").get("/messages").text
    assert ("/jobs/mine/a" in limited, "/jobs/theirs/b" in limited) == (True, False)


def test_what_waits_says_when_it_is_tried_next(root: Root) -> None:
    """With the number of tries so far and the answer; another's message is not among those of a limited token."""
    outbox = Outbox(root.paths.notify_db)
    outbox.post("ops", "failed", ["theirs/b"], {}, NOW_US)
    outbox.failed(outbox.due(NOW_US)[0], "the server answers 451", NOW_US)
    outbox.add("ops", Note(kind="failed", at_us=NOW_US, job="mine/a"), NOW_US + MINUTE)
    outbox.close()
    with served(root, config=Config(channels={"ops": Channel(command=("true",))})) as site:
        text = site.browser().get("/messages").text
        limited = site.token("read", jobs="mine/**").get("/messages").text
    assert "2026-03-28 12:00:10" in text
    assert "the server answers 451" in text
    assert "451" not in limited
