"""The words of a message: a subject of at most 78 characters, and a body that answers what one asks at night."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from akjob.errors import escape_control
from akjob.instants import MINUTE, to_datetime, to_text
from akjob.notify.model import Kind
from akjob.schedule.zones import get_zone
from akjob.units import format_duration

SUBJECT = 78
"""RFC 5322, section 2.1.1: a line should have no more characters than this."""

LATE_US = 5 * MINUTE
"""A message that goes out so long after what it is of says when that was."""

_DETAILED = 10
_LISTED = 500
_WORDS: Mapping[Kind, str] = {
    "failed": "failed",
    "timed_out": "timed out",
    "lost": "was lost",
    "recovered": "recovered",
    "missed": "missed a slot",
    "skipped": "skipped a slot",
    "cancelled": "was cancelled",
    "succeeded": "succeeded",
    "late": "has not started",
    "long": "runs unusually long",
    "broken": "cannot be loaded",
    "repaired": "loads again",
    "down": "akjobd was down",
    "test": "test message",
}


class JobReport(Struct, frozen=True, kw_only=True):
    """One job in a message. Instants are microseconds, ``timezone`` is the job's; None is what is not known.

    ``common`` are the things that it may share with others in the message, the likeliest cause first: a commit, a
    ``_defaults.toml``, a lock, an error.
    """

    kind: Kind
    at_us: int
    job: str
    timezone: str = "UTC"
    run: str | None = None
    slot_us: int | None = None
    state: str | None = None
    reason: str | None = None
    exit_code: int | None = None
    error: str | None = None
    attempt: int | None = None
    failures: int = 0
    count: int = 1
    incident: int | None = None
    last_success_us: int | None = None
    changed: tuple[str, ...] = ()
    next_us: int | None = None
    git_commit: str | None = None
    git_dirty: bool = False
    owner: str | None = None
    runbook: str | None = None
    url: str | None = None
    output: tuple[str, ...] = ()
    common: tuple[str, ...] = ()
    since_us: int | None = None
    at_least: bool = False
    made_up: int = 0
    again: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the keys that webhooks and commands get."""
        return {
            "job": self.job,
            "run": self.run,
            "slot": _text(self.slot_us),
            "state": self.state or self.kind,
            "reason": self.reason,
            "exit_code": self.exit_code,
            "error": self.error,
            "attempt": self.attempt,
            "failures": self.failures,
            "last_success": _text(self.last_success_us),
            "git_commit": self.git_commit,
            "owner": self.owner,
            "runbook": self.runbook,
            "url": self.url,
            "output": "\n".join(self.output),
        }


class Origin(Struct, frozen=True, kw_only=True):
    """Where a message is from."""

    host: str
    root: str


def payload(delivery: str, kind: str, at_us: int, origin: Origin, reports: Sequence[JobReport]) -> dict[str, Any]:
    """Return the whole message as JSON."""
    incidents = {one.incident for one in reports}
    return {
        "id": delivery,
        "kind": kind,
        "incident": incidents.pop() if len(incidents) == 1 else None,
        "at": to_text(at_us),
        "subject": subject(origin, reports),
        "text": text(origin, reports, at_us),
        "host": origin.host,
        "root": origin.root,
        "jobs": [one.as_json() for one in reports],
    }


def subject(origin: Origin, reports: Sequence[JobReport]) -> str:
    """Return what a mail's subject says: the job and what is wrong, or how many."""
    jobs = {one.job for one in reports}
    if len(reports) == 1:
        what = _headline(reports[0])
    elif all(one.kind == "down" for one in reports):
        missed, made_up = sum(one.count for one in reports), sum(one.made_up for one in reports)
        what = f"akjobd was down for {_absence(reports[0])}; {len(jobs)} jobs: {_cost(missed, made_up)}"
    elif len(jobs) == 1:
        what = f"{reports[0].job}: " + ", ".join(dict.fromkeys(_WORDS[one.kind] for one in reports))
    else:
        kinds = Counter(_WORDS[one.kind] for one in reports)
        listed = ", ".join(f"{count} {words}" for words, count in kinds.most_common())
        what = f"{len(jobs)} jobs: {listed}" if len(kinds) > 1 else f"{len(jobs)} jobs: {next(iter(kinds))}"
    return _fit(escape_control(f"[{origin.host}] {what}"), SUBJECT)


def text(origin: Origin, reports: Sequence[JobReport], at_us: int) -> str:
    """Return the text, sent at ``at_us``: one job in full, or several grouped by what they have in common."""
    if len(reports) == 1:
        return "\n".join([*_full(reports[0], at_us), "", _origin(origin)]) + "\n"
    lines = [subject(origin, reports).removeprefix(f"[{origin.host}] ")]
    for heading, group in groups(reports):
        lines += ["", heading, ""] if heading else [""]
        lines += [f"  {_line(one, at_us)}" for one in group[:_LISTED]]
        if len(group) > _LISTED:
            lines.append(f"  … and {len(group) - _LISTED} more")
    failed = [one for one in reports if one.output][:_DETAILED]
    for one in failed:
        lines += ["", "-" * 60, *_full(one, at_us)]
    return "\n".join([*lines, "", _origin(origin)]) + "\n"


def groups(reports: Sequence[JobReport]) -> list[tuple[str, list[JobReport]]]:
    """Return the jobs in groups of two and more that share something, largest first, and the others without heading."""
    left, found = list(reports), []
    while left:
        shared = Counter(what for one in left for what in one.common)
        what, count = shared.most_common(1)[0] if shared else ("", 0)
        if count < 2:  # noqa: PLR2004 - one job shares nothing with others
            break
        group = [one for one in left if what in one.common]
        left = [one for one in left if what not in one.common]
        found.append((f"{_counted(len(group), 'job')}: {what}", group))
    if left:
        found.append(("Others" if found else "", left))
    return found


def _headline(one: JobReport) -> str:
    if one.kind == "down":
        return f"akjobd was down for {_absence(one)}; {_cost(one.count, one.made_up)}"
    if one.kind == "test":
        return f"a test of the channel {one.job}"
    still = "still: " if one.again else ""
    words = f"{still}{one.job} {_WORDS[one.kind]}"
    why = _why(one)
    if one.count > 1 and one.kind in ("missed", "skipped"):
        words = f"{still}{one.job} {one.kind} {one.count} slots"
    return f"{words}: {why}" if why else words


def _why(one: JobReport) -> str:
    if one.kind == "recovered":
        return f"after {_counted(one.failures, 'failure')}"
    if one.error:
        return one.error.splitlines()[0]
    if one.exit_code:
        return f"exit code {one.exit_code}"
    return (one.reason or "").splitlines()[0] if one.reason else ""


def _line(one: JobReport, at_us: int) -> str:
    """Return one job of several on one line."""
    if one.kind == "down":
        return escape_control(f"{one.job}  {_cost(one.count, one.made_up)}")
    slot = "" if one.slot_us is None else f"  slot {_local(one.slot_us, one.timezone)}"
    happened = f"  happened {_local(one.at_us, one.timezone)}" if _is_late(one, at_us) else ""
    return escape_control(f"{_headline(one)}{slot}{happened}")


def _is_late(one: JobReport, at_us: int) -> bool:
    return at_us - one.at_us >= LATE_US


def _full(one: JobReport, at_us: int) -> list[str]:
    """Return all that is known of one job, a fact a line."""
    if one.kind == "down":
        until = ("back", _both(one.at_us, one.timezone))
        return [
            _headline(one),
            "",
            *_facts([until, ("slots missed", str(one.count)), ("made up for", str(one.made_up))]),
        ]
    if one.kind == "test":
        return ["This is a test. Messages of this channel arrive here."]
    state, is_over = one.state or one.kind, one.kind in ("recovered", "repaired")
    facts = [
        ("slot", None if one.slot_us is None else _both(one.slot_us, one.timezone)),
        ("happened", f"{_both(one.at_us, one.timezone)}; this message is late" if _is_late(one, at_us) else None),
        ("state", f"{state}, exit code {one.exit_code}" if one.exit_code is not None else state),
        ("error", one.error),
        ("reason", None if one.reason == f"exit code {one.exit_code}" else one.reason),
        ("attempt", None if one.attempt is None else str(one.attempt)),
        ("in a row", str(one.failures) if one.failures else None),
        ("last success", "none is known" if one.last_success_us is None else _both(one.last_success_us, one.timezone)),
        ("changed since", "; ".join(one.changed) or None),
        ("next slot", None if one.next_us is None else _both(one.next_us, one.timezone)),
        ("commit", None if one.git_commit is None else commit_words(one.git_commit, dirty=one.git_dirty)),
        ("owner", one.owner),
        ("runbook", one.runbook),
        ("page", one.url),
        ("look further", f"akjob logs {one.run}" if one.run else f"akjob show {one.job}"),
        ("acknowledge", None if is_over or one.incident is None else f"akjob notify ack {one.incident}"),
    ]
    lines = [escape_control(_headline(one)), "", *_facts(facts)]
    if one.output:
        lines += ["", "The last lines of output:" if len(one.output) > 1 else "The last line of output:"]
        lines += [f"  {escape_control(line)}" for line in one.output]
    return lines


def commit_words(commit: str, *, dirty: bool) -> str:
    """Return a commit as a message names it: its files as they ran may be others than it has."""
    return f"{commit} with uncommitted changes" if dirty else commit


def _facts(facts: Sequence[tuple[str, str | None]]) -> list[str]:
    return [f"  {name:<15}{escape_control(value)}" for name, value in facts if value]


def _absence(one: JobReport) -> str:
    if one.since_us is None:
        return "an unknown time"
    seconds = max(1, round((one.at_us - one.since_us) / 1e6))
    return ("at least " if one.at_least else "") + format_duration(seconds * 1_000_000)


def _cost(missed: int, made_up: int) -> str:
    if not missed:
        return f"{_counted(made_up, 'slot')} made up for"
    return f"{_counted(missed, 'slot')} missed" + (f", {made_up} made up for" if made_up else "")


def _origin(origin: Origin) -> str:
    return f"akjob on {origin.host}, {origin.root}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _fit(words: str, width: int) -> str:
    return words if len(words) <= width else words[: width - 1] + "…"


def _local(instant_us: int, timezone: str) -> str:
    moment = to_datetime(instant_us).astimezone(get_zone(timezone))
    written: str = moment.strftime("%a %Y-%m-%d %H:%M" + (":%S" if moment.second else "") + " %Z")
    return written


def _both(instant_us: int, timezone: str) -> str:
    local = _local(instant_us, timezone)
    return local if timezone == "UTC" else f"{local} ({to_datetime(instant_us):%Y-%m-%dT%H:%M:%SZ})"


def _text(instant_us: int | None) -> str | None:
    return None if instant_us is None else to_text(instant_us)
