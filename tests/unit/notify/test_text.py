"""The words of a message, and what is kept out of them."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from akjob.config.notify import Channel, Smtp, Webhook
from akjob.config.secrets import SecretFile
from akjob.instants import DAY, HOUR, MINUTE, from_text
from akjob.notify.redact import Redactor, values_of
from akjob.notify.text import JobReport, Origin, payload, subject, text

AT = from_text("2026-03-02T09:30:00Z")
ORIGIN = Origin(host="h1", root="/srv/jobs")
FAILED = JobReport(
    kind="failed", at_us=AT, job="nightly", timezone="Europe/Berlin", slot_us=AT, state="failed", exit_code=3, attempt=1
)


def test_every_question_has_its_line() -> None:
    """The slot is in the job's zone; the attempt and how often in a row are there even if they are 1."""
    lines = text(ORIGIN, [replace(FAILED, failures=1, incident=7)], AT).splitlines()
    assert lines[0] == "nightly failed: exit code 3"
    assert "  slot           Mon 2026-03-02 10:30 CET (2026-03-02T09:30:00Z)" in lines
    assert "  attempt        1" in lines
    assert "  in a row       1" in lines
    assert "  acknowledge    akjob notify ack 7" in lines
    assert not any("late" in line for line in lines)


def test_a_late_message_says_for_when_it_was() -> None:
    """Alone and among others; the hooks' ``at`` is when it was sent."""
    late = "happened       Mon 2026-03-02 10:30 CET (2026-03-02T09:30:00Z); this message is late"
    assert late in text(ORIGIN, [FAILED], AT + 2 * HOUR)
    assert "happened Mon 2026-03-02 10:30 CET" in text(ORIGIN, [FAILED, FAILED], AT + 2 * HOUR)
    assert payload("x", "failed", AT + 2 * HOUR, ORIGIN, [FAILED])["at"] == "2026-03-02T11:30:00.000000Z"


@pytest.mark.parametrize(("at_least", "words"), [(False, "for 1d"), (True, "for at least 1d")])
def test_a_downtime(at_least: bool, words: str) -> None:
    """One message: how long, what was missed, what was made up for; of several jobs, a line each."""
    down = JobReport(kind="down", at_us=AT, job="a", since_us=AT - DAY, at_least=at_least, count=3, made_up=1)
    assert subject(ORIGIN, [down]) == f"[h1] akjobd was down {words}; 3 slots missed, 1 made up for"
    lines = text(ORIGIN, [down, replace(down, job="b", count=0)], AT + MINUTE).splitlines()
    assert lines[0] == f"akjobd was down {words}; 2 jobs: 3 slots missed, 2 made up for"
    assert lines[2:4] == ["  a  3 slots missed, 1 made up for", "  b  1 slot made up for"]


def test_a_subject_fits() -> None:
    """However long a job's name and its error are."""
    long = replace(FAILED, job="reports/" + "x" * 200, error="KeyError: " + "y" * 200)
    assert len(subject(ORIGIN, [long])) == 78
    assert "\n" not in subject(ORIGIN, [replace(FAILED, error="a\nb")])


def test_the_secrets_of_channels(tmp_path: Path) -> None:
    """Passwords, keys and addresses, whole and in parts; the plain address of a webhook is not a secret."""
    (tmp_path / "key").write_text("sésame-1\n")
    channels = (
        Channel(smtp=Smtp(url="smtps://me:p%40ss@mail.example.org"), sender="a@b", to=("c@d",)),
        Channel(webhook=Webhook(url="https://example.org/hook", secret=SecretFile("key"))),
        Channel(apprise="slack://T0/B1/zzz"),
        Channel(apprise=SecretFile("none")),
    )
    secrets = [one for channel in channels for one in channel.secrets().values()]
    hide = Redactor(values_of(secrets, tmp_path))
    assert hide("535 p@ss p%40ss") == "535 *** ***"
    assert hide("sésame-1, slack://T0/B1/zzz, https://example.org/hook") == "***, ***, https://example.org/hook"
