"""Which messages would be sent, and why: today's settings put into words."""

from msgspec import Struct

from akjob.config import Config
from akjob.instants import to_text
from akjob.notify.gathering import GATHER_US, Parcel, paces_of, ripen
from akjob.notify.replay import Sent
from akjob.spec.model import Notify
from akjob.units import format_duration


class Explanation(Struct, frozen=True, kw_only=True):
    """The messages that one event of this kind would lead to now, and the reasons in order."""

    sent: tuple[Sent, ...]
    reasons: tuple[str, ...]


def explain(job: str, kind: str, notify: Notify, config: Config, now_us: int) -> Explanation:
    """Return what one event of a kind would lead to if it happened now."""
    if not notify.channels:
        return Explanation(sent=(), reasons=(f"{job} has no channels in [notify], so no message is sent",))
    if not notify.wants(kind):
        listed = ", ".join(sorted(notify.on))
        return Explanation(sent=(), reasons=(f'"{kind}" is not among `on` of its [notify]: {listed}',))
    reasons = [f'"{kind}" is asked for by `on`', *_conditions(kind, notify)]
    sent = []
    for channel in notify.channels:
        due_us, why = _when(channel, config, now_us)
        reasons.append(why)
        sent.append(Sent(at=to_text(due_us), channel=channel, kind=kind, jobs=(job,)))
    return Explanation(sent=tuple(sent), reasons=tuple(reasons))


def _conditions(kind: str, notify: Notify) -> list[str]:
    found = []
    if kind in {"failed", "timed_out", "lost"}:
        found.append("only the last attempt counts")
        if notify.after > 1:
            found.append(f"only from {notify.after} failed slots in a row on")
    if kind == "late":
        found.append(f"once a run that is due has not started for {format_duration(notify.late_after_us)}")
    if kind == "long" and notify.long_after_us is None:
        found.append("after three times the 95th percentile of its last runs, at least 5 minutes, from ten runs on")
    elif kind == "long":
        found.append(f"once a run takes longer than {format_duration(notify.long_after_us or 0)}")
    if kind == "recovered":
        found.append("only after a message of failure")
    if kind in {"failed", "timed_out", "lost", "missed", "skipped", "late", "long", "broken"}:
        repeat = (
            "once" if notify.repeat_us is None else f"then every {format_duration(notify.repeat_us)} while it lasts"
        )
        found.append(f"one message, {repeat}" if notify.repeat_us is not None else "one message while it lasts")
    return found


def _when(channel: str, config: Config, now_us: int) -> tuple[int, str]:
    pace = paces_of(config).get(channel)
    due_us = now_us + GATHER_US
    if pace is None:
        return due_us, f"{channel}: there is no such channel in etc/akjob.toml"
    parcel = Parcel(id="", channel=channel, opened_us=now_us, due_us=due_us)
    if not ripen(parcel, pace, [], due_us):
        return parcel.due_us, f"{channel}: held until its quiet hours end"
    return due_us, f"{channel}: after it was gathered with others for 10 s"
