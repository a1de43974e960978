"""The triggers that are events: a job is due when one happens, or some time after it.

EVENTS is the registry: the reader of ``[schedule]``, the JSON Schema, `akjob help`, `akjob new`, the words of `akjob
show` and `akjob why`, the checks of `akjob validate`, the variables of a run and what akjobd decides at a loading are
all made from it. A new trigger is one class here, its entry in EVENTS, and its paragraph in the docs.
"""

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Union

from akjob.instants import SECOND
from akjob.keys import values
from akjob.keys.key import Key, Keys, keys
from akjob.keys.schemas import DURATION, WORD, one_or_some, some
from akjob.keys.values import Reading
from akjob.schedule.event import Delayed, Event, Loaded, Tabular
from akjob.schedule.wording import duration_words, list_words
from akjob.toml.faults import dotted
from akjob.toml.scan import Path
from akjob.units import format_duration

EventTrigger = Literal["start", "after", "change"]
"""What the runs that these triggers make due have as their trigger."""


class OnStart(Delayed, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """Each start of akjobd; never a loading later on."""

    key = "on_start"
    doc = "Each time akjobd starts, never on reload; or this long after it."
    because = "akjobd or the machine had started"
    said = "each time akjobd starts"
    later = "{} after each start of akjobd"
    is_local = True

    def due(self, loaded: Loaded) -> Iterator[int]:
        """Yield akjobd's start, or the instant that the job wants after it."""
        if loaded.first:
            yield loaded.started_us + self.delay_us


class OnBoot(Delayed, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """The boot of the machine, once, when akjobd starts for the first time after it."""

    key = "on_boot"
    doc = "Once after each boot of the machine; or this long after it."
    because = OnStart.because
    said = "once after each boot of the machine"
    later = "once {} after each boot of the machine"
    example = '"2m"'
    is_local = True

    def due(self, loaded: Loaded) -> Iterator[int]:
        """Yield the boot, or the instant that the job wants after it, while nothing is decided about it.

        A job that is loaded after the boot has it while that instant lies ahead.
        A slot that was claimed ahead, or a clock that was ahead once, may have put the watermark past the boot: the
        first akjobd after it knows better.
        """
        if loaded.boot_us is None:
            return
        at_us = loaded.boot_us + self.delay_us
        is_first = loaded.first and loaded.booted and not loaded.is_new
        decided_us = loaded.now_us if loaded.is_new else loaded.watermark_us
        if at_us > decided_us or is_first:
            yield at_us


# -- after

ENDED = ("succeeded", "failed", "timed_out", "cancelled", "lost")
"""The final states of a run that had started, or was to start: what ``"ended"`` stands for."""
FINAL_STATES = (*ENDED, "skipped", "missed")
_STATES = {"timed_out": "timed out", "cancelled": "been cancelled", "lost": "been lost"}
_STATES |= {"skipped": "been skipped", "missed": "been missed"}
_JOB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)*(?:@[A-Za-z0-9][A-Za-z0-9._-]*)?")


def _job_name(value: object, path: Path, out: Reading) -> str | None:
    if type(value) is str and _JOB_NAME.fullmatch(value):
        return value
    if type(value) is not str:
        out.wrong_type(path, "the name of a job", value)
        return None
    meant = value.strip().removeprefix("jobs.d/").removesuffix(".toml")
    hint = f'write "{meant}"' if _JOB_NAME.fullmatch(meant) else "its path below jobs.d without .toml"
    out.bad(path, "bad-name", f'"{value}" cannot be the name of a job', hint)
    return None


_jobs = values.one_or_more(_job_name, "the names of the jobs")


def _final_states(value: object, path: Path, out: Reading) -> tuple[str, ...] | None:
    """Read an array of final states, or "ended" for those of a run that was to start."""
    if value == "ended":
        return ENDED
    listed = ", ".join(f'"{state}"' for state in FINAL_STATES)
    if type(value) is str and value in FINAL_STATES:
        out.wrong_type(path, 'an array of states or "ended"', value, f'write ["{value}"]')
        return None
    if type(value) is not list:
        out.wrong_type(path, 'an array of states or "ended"', value, f'write "ended", or some of {listed}')
        return None
    if not value:
        out.bad(path, "empty-list", f"`{dotted(path)}` is an empty array", f"write some of {listed}")
        return None
    read = values.choice(*FINAL_STATES)
    found = [read(state, (*path, index), out) for index, state in enumerate(value)]
    values.once(value, path, out)
    return None if None in found else tuple(state for state in FINAL_STATES if state in found)


class After(Tabular, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """Other jobs' ends: each fitting end of one of ``jobs``, or with ``mode`` "all" a fitting end of each of them.

    ``on`` are final states. ``within_us``: with "all" the oldest of the ends is not older than that.
    """

    key = "after"
    trigger = "after"
    doc = "After the end of another job, or of several."
    because = "the jobs that it comes after had ended"
    names_jobs = True
    example = '{ jobs = ["extract"], on = ["succeeded"], within = "6h" }'
    main = "jobs"
    wanted = "the name of a job, an array of names or a table"
    plain = '"extract"'
    table: ClassVar[Keys] = keys(
        Key("jobs", _jobs, "jobs", "The jobs whose ends count.", one_or_some(WORD)),
        Key(
            "on",
            _final_states,
            "on",
            'Final states that count, or "ended" for all of a run that was to start.',
            {"anyOf": [{"const": "ended"}, some({"enum": list(FINAL_STATES)})]},
        ),
        Key(
            "mode",
            values.choice("all", "any"),
            "mode",
            '"all": once each of the jobs has an end that counts; "any": at each such end.',
            {"enum": ["all", "any"]},
        ),
        Key(
            "within",
            values.duration(SECOND),
            "within_us",
            'With "all": the oldest of the ends is not older.',
            DURATION,
        ),
    )

    jobs: tuple[str, ...]
    on: tuple[str, ...] = ("succeeded",)
    mode: Literal["all", "any"] = "all"
    within_us: int | None = None

    @classmethod
    def check(
        cls, value: Mapping[str, Any], found: Mapping[str, Any], path: Path, out: Reading, *, sound: bool
    ) -> None:
        """Note a ``within`` that has no effect."""
        del value, sound
        if found.get("within_us") is not None and (found.get("mode") == "any" or len(found.get("jobs") or ()) == 1):
            message = f'`{dotted(path)}.within` does nothing with a single job or mode = "any"'
            out.bad((*path, "within"), "no-effect", message, "remove it", severity="warning")

    @classmethod
    def variables(cls, cause: Mapping[str, Any]) -> Mapping[str, str]:
        """Return the jobs that it came after, and their runs."""
        upstream: Mapping[str, str] = cause.get("after", {})
        if not upstream:
            return {}
        return {"AKJOB_AFTER_JOB": ",".join(upstream), "AKJOB_AFTER_RUN": ",".join(upstream.values())}

    def rest(self) -> dict[str, object]:
        """Return what is said of the ends, besides whose they are."""
        table: dict[str, object] = {}
        if self.on != ("succeeded",):
            table["on"] = "ended" if self.on == ENDED else list(self.on)
        if self.mode != "all":
            table["mode"] = self.mode
        if self.within_us is not None:
            table["within"] = format_duration(self.within_us)
        return table

    def words(self) -> str:
        """Return ``after a and b have each succeeded, the oldest of them at most 6 hours ago``."""
        states = "ended" if self.on == ENDED else list_words([_STATES.get(state, state) for state in self.on], "or")
        if len(self.jobs) == 1:
            return f"after {self.jobs[0]} has {states}"
        if self.mode == "any":
            return f"each time that {list_words(self.jobs, 'or')} has {states}"
        oldest = "" if self.within_us is None else f", the oldest of them at most {duration_words(self.within_us)} ago"
        return f"after {list_words(self.jobs)} have each {states}{oldest}"

    @property
    def upstreams(self) -> tuple[str, ...]:
        """The jobs whose ends count."""
        return self.jobs


# -- on_change
def _pattern(value: object, path: Path, out: Reading) -> str | None:
    """Read a pattern of paths below the root or absolute."""
    text = values.text(value, path, out)
    if text is None:
        return None
    if text.startswith("~"):
        message = f"`{dotted(path)}`: nothing expands ~"
        out.bad(path, "bad-value", message, "write the absolute path, or one below the root")
    elif ".." in text.split("/"):
        message = f"`{dotted(path)}`: a pattern cannot have a part `..`"
        out.bad(path, "bad-value", message, "write the absolute path, or one below the root")
    elif text.endswith("/"):
        message = f"`{dotted(path)}` names a folder; regular files are watched"
        out.bad(path, "bad-value", message, f'write "{text}*", or "{text}**/*" for all folders below it too')
    else:
        return text.removeprefix("./")
    return None


def _file_name(value: object, path: Path, out: Reading) -> str | None:
    """Read a pattern of file names."""
    text = values.text(value, path, out)
    if text is not None and "/" in text:
        message = f"`{dotted(path)}` has a `/`; it is compared with the name of a file, without its folder"
        out.bad(path, "bad-value", message, f'write "{text.rstrip("/").rpartition("/")[2]}"')
        return None
    return text


_patterns = values.one_or_more(_pattern, "the patterns")


class OnChange(Tabular, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """Files that changed: patterns below the root or absolute ones, and patterns of file names to leave out.

    The slot is the instant since which nothing has changed for ``settle_us``, or ``at_most_us`` after the first change.
    """

    key = "on_change"
    trigger = "change"
    doc = "When files have changed."
    because = "its files had changed"
    example = '{ paths = ["inbox/*.csv"], settle = "2s" }'
    is_local = True
    main = "paths"
    wanted = "a pattern of files, an array of patterns or a table"
    plain = '"inbox/*.csv"'
    table: ClassVar[Keys] = keys(
        Key("paths", _patterns, "paths", "Patterns of files below the root, or absolute.", one_or_some(WORD)),
        Key(
            "settle", values.duration(), "settle_us", "The job is due once nothing has changed for this long.", DURATION
        ),
        Key(
            "at_most", values.duration(), "at_most_us", "And at the latest this long after the first change.", DURATION
        ),
        Key(
            "ignore",
            values.one_or_more(_file_name, "the patterns"),
            "ignore",
            "Patterns of file names to leave out.",
            one_or_some(WORD),
        ),
        Key(
            "deleted", values.boolean, "deleted", "True: a file that disappears is a change, too.", {"type": "boolean"}
        ),
    )

    paths: tuple[str, ...]
    settle_us: int = 2_000_000
    at_most_us: int = 60_000_000
    ignore: tuple[str, ...] = ()
    deleted: bool = False

    @classmethod
    def check(
        cls, value: Mapping[str, Any], found: Mapping[str, Any], path: Path, out: Reading, *, sound: bool
    ) -> None:
        """Note a limit that is less than what it limits."""
        plain = cls(paths=())
        settle_us, at_most_us = found.get("settle_us", plain.settle_us), found.get("at_most_us", plain.at_most_us)
        if sound and at_most_us < settle_us:
            message = f"`{dotted(path)}`: at_most ({format_duration(at_most_us)}) is less than settle"
            hint = f'write at_most = "{format_duration(settle_us)}" or more'
            out.bad((*path, "at_most" if "at_most" in value else "settle"), "out-of-range", message, hint)

    def rest(self) -> dict[str, object]:
        """Return what is said of the files, besides where they are."""
        plain = OnChange(paths=self.paths)
        table: dict[str, object] = {}
        if self.settle_us != plain.settle_us:
            table["settle"] = format_duration(self.settle_us)
        if self.at_most_us != plain.at_most_us:
            table["at_most"] = format_duration(self.at_most_us)
        if self.ignore:
            table["ignore"] = list(self.ignore)
        if self.deleted:
            table["deleted"] = True
        return table

    def words(self) -> str:
        """Return ``when files change: inbox/*.csv, once nothing has changed for 2 seconds, at most 1 minute later``."""
        what = "change or disappear" if self.deleted else "change"
        ignored = f", without {list_words(self.ignore)}" if self.ignore else ""
        settle = f"nothing has changed for {duration_words(self.settle_us)}" if self.settle_us else "they have changed"
        latest = f"{duration_words(self.at_most_us)} after the first change"
        return f"when files {what}: {list_words(self.paths, 'or')}{ignored}, once {settle}, or {latest}"


# -- the registry

EVENTS: Mapping[str, type[Event]] = {event.key: event for event in (OnStart, OnBoot, After, OnChange)}

if TYPE_CHECKING:
    AnyEvent = Event
else:
    AnyEvent = Union[tuple(EVENTS.values())]  # noqa: UP007 - what msgspec needs to know in order to read one back
