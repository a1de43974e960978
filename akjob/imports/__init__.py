"""Job files made of what other schedulers have: crontabs, timers, CronJobs, … Pure: texts in, texts and notes out."""

import copy
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from akjob.config import Config
from akjob.errors import Problem, escape_control
from akjob.spec import parse_job
from akjob.spec.canonical import key_text, value_text
from akjob.toml.faults import dotted

# (table or "", key), such as ("schedule", "cron"), and of a table in [run] a key of it: ("run", "env", "PATH")
KeyPath = tuple[str, ...]


_DIGITS = 9
LARGEST = 4 << 20
"""Bytes of a source; a crontab of so many has a hundred thousand lines."""

MOST_ENTRIES = 10_000
MOST_TEXT = 32 << 20

_SURROGATE = re.compile(r"[\udc80-\udcff]")


def escaped(text: str) -> str:
    r"""Write out what a comment of a TOML file cannot hold, as ``\xe9``: control characters, bytes that are not UTF-8.

    Such bytes are surrogates in a string that was decoded with ``surrogateescape``.
    """
    return _SURROGATE.sub(lambda match: f"\\x{ord(match[0]) & 0xFF:02x}", escape_control(text))


def is_utf8(text: str) -> bool:
    """Return True if all bytes of a string that was decoded with ``surrogateescape`` were UTF-8."""
    return _SURROGATE.search(text) is None


def is_number(text: str) -> bool:
    """Return True for a whole number that any program can count to."""
    return text.isascii() and text.isdigit() and len(text) <= _DIGITS


class ImportNote(Struct, frozen=True):
    """What a person should know about one line of the source: ``line`` counts from 1."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        """``file:line: message``, always one line."""
        return escaped(f"{self.file}:{self.line}: {self.message}")


class Imported(Struct, frozen=True):
    """A job file: its name below ``jobs.d/`` without ``.toml``, its text, and the line it was made of."""

    name: str
    text: str
    line: int


class Import(Struct, frozen=True):
    """All that was made of one source.

    ``defaults`` is the ``_defaults.toml`` that the jobs need beside them; an empty string if they need none. ``ends``
    are commands that end the originals. ``drafts`` are what the jobs were written from, in the same order.
    """

    jobs: tuple[Imported, ...]
    notes: tuple[ImportNote, ...]
    defaults: str = ""
    ends: tuple[str, ...] = ()
    drafts: tuple["Draft", ...] = ()


class TooMuchError(ValueError):
    """A source from which more would be made than a folder of jobs can hold."""


class Budget:
    """What may be made of one source: so many entries, and so much text in all that is written for them."""

    def __init__(self) -> None:
        self._entries = MOST_ENTRIES
        self._text = MOST_TEXT

    def spend(self, text: int) -> None:
        """Take an entry in for which so many characters are written. Raises TooMuchError."""
        self._entries -= 1
        self._text -= text
        if self._entries < 0:
            raise TooMuchError(f"it has more than {MOST_ENTRIES:,} entries: divide it, and import the parts one by one")
        if self._text < 0:
            raise TooMuchError(f"its jobs would have more than {MOST_TEXT >> 20} MiB: each gets what stands above all")


class _DraftEntry:
    __slots__ = ("comment", "left_out", "refused", "value")

    def __init__(self, value: Any, comment: str) -> None:
        self.value = value
        self.comment = comment
        self.refused = ""
        self.left_out: list[str] = []  # as comments: the keys that a table has lost


class Draft:
    """A job file in the making. A key that turns out to be wrong becomes a comment, and nothing is lost."""

    def __init__(self, file: str, line: int) -> None:
        self.file = file
        self.line = line
        self.head: list[str] = []
        self.tail: list[str] = []
        self.notes: list[ImportNote] = []
        self._tables: dict[str, dict[str, _DraftEntry]] = {"": {}, "schedule": {}, "limits": {}, "run": {}}

    def put(self, table: str, key: str, value: object, comment: str = "") -> None:
        """Set a key of a table ("" is the file's top)."""
        self._tables[table][key] = _DraftEntry(value, comment)

    def note(self, message: str, line: int | None = None) -> None:
        """Report something, and keep it as a comment in the file."""
        self.notes.append(ImportNote(self.file, self.line if line is None else line, message))

    def has(self, table: str, key: str) -> bool:
        """Return True if a key is set."""
        return key in self._tables[table]

    def refuse(self, path: KeyPath, reason: str) -> None:
        """Make a comment of a key. A job that would run at another time or as another user is disabled."""
        table, key, *inner = path
        entry = self._tables[table][key]
        if inner and len(entry.value) > 1:
            left_out = {inner[0]: entry.value.pop(inner[0])}
            entry.left_out += [f"not taken: {reason}", f"{key} = {toml(left_out)}"]
        else:
            entry.refused = reason
        self.note(f"{dotted(path if table else path[1:])} is kept as a comment: {reason}")
        if table in ("schedule", "limits") or key in ("user", "group"):
            self.put("", "enabled", value=False, comment="what it lacks stands below as a comment")

    def entries(self) -> Iterator[tuple[str, str, _DraftEntry]]:
        """Yield table, key and entry of all that is set and was not refused."""
        for table, members in self._tables.items():
            for key, entry in members.items():
                if not entry.refused and not entry.left_out:
                    yield table, key, entry

    def drop(self, table: str, key: str) -> None:
        """Forget a key: it is elsewhere."""
        del self._tables[table][key]

    def render(self) -> str:
        """Write the file."""
        lines = [_comment(text) for text in self.head]
        lines += [_comment(f"NOTE {note.message}") for note in self.notes]
        for table, entries in self._tables.items():
            if not entries:
                continue
            if table:
                lines += ["", f"[{table}]"]
            for key, entry in entries.items():
                lines += _entry_lines(key, entry)
        if self.tail:
            lines += ["", *map(_comment, self.tail)]
        return "\n".join(lines) + "\n"

    def finish(self, name: str) -> str | None:
        """Write the file so that akjob takes it; None when there is no way, which is a note then.

        Each key that the parser objects to becomes a comment; that is repeated until it objects to none.
        """
        for _ in range(sum(map(len, self._tables.values())) + 1):
            text = self.render()
            errors = [p for p in check(name, text) if p.severity == "error"]
            if not errors:
                return text
            if not self._refuse_what(errors):
                break
        self.note(f"no job could be made of it: {errors[0].message}")
        return None

    def _refuse_what(self, errors: Iterable[Problem]) -> bool:
        """Comment out the keys that the errors name. False when none names one that is set."""
        done = False
        named = {path: error.message for error in errors for path in self._named(error.key)}
        for path, message in named.items():
            if not self._tables[path[0]][path[1]].refused:
                self.refuse(path, message)
                done = True
        return done

    def _named(self, key: str) -> list[KeyPath]:
        """Find the entries that a dotted key path such as ``schedule.cron[0]`` means; a table means all of its keys."""
        parts = re.split(r"[.\[]", key)
        if parts[0] in self._tables and parts[0]:
            inside = self._tables[parts[0]]
            if len(parts) > 1 and parts[1] not in inside:
                return []
            if len(parts) > 1:
                path, value = (parts[0], parts[1]), inside[parts[1]].value
                keys = value if path[0] == "run" and isinstance(value, Mapping) else ()
                return [(*path, *(inner for inner in keys if dotted((*path, inner)) == key))]
            return [(parts[0], name) for name in inside if name != "timezone"]
        return [("", parts[0])] if parts[0] in self._tables[""] and parts[0] != "enabled" else []


def finish_all(
    drafts: Iterable[tuple[str, Draft]], notes: Iterable[ImportNote] = (), *, source: str = "", share: bool = False
) -> Import:
    """Return the jobs of finished drafts, each given with its name; with ``share`` what all have is in defaults.

    A draft of which no job can be made leaves its notes.
    """
    collected = list(notes)
    finished: list[tuple[str, Draft]] = []
    for name, draft in drafts:
        if draft.finish(name) is not None:
            finished.append((name, draft))
        collected += draft.notes
    defaults = _shared([draft for _, draft in finished], source) if share else ""
    jobs = tuple(Imported(name, draft.render(), draft.line) for name, draft in finished)
    notes = tuple(sorted(collected, key=lambda note: (note.file, note.line)))
    return Import(jobs, notes, defaults, drafts=tuple(draft for _, draft in finished))


def joined(parts: Sequence[Import], *, source: str, share: bool) -> Import:
    """Return several imports as one, with names that differ; with ``share`` what all have is in defaults."""
    drafts = [copy.deepcopy(draft) for part in parts for draft in part.drafts]
    defaults = _shared(drafts, source) if share else ""
    names = ImportNames()
    jobs = tuple(
        Imported(names.take(job.name), draft.render(), job.line)
        for job, draft in zip((job for part in parts for job in part.jobs), drafts, strict=True)
    )
    notes = tuple(note for part in parts for note in part.notes)
    return Import(jobs, notes, defaults, tuple(dict.fromkeys(end for part in parts for end in part.ends)))


def _shared(drafts: Sequence[Draft], source: str) -> str:
    """Take out of the drafts what all of them say alike of how they run, and return it as a ``_defaults.toml``."""
    if len(drafts) < 2:  # noqa: PLR2004 - one has nothing to share
        return ""
    first, *others = (
        {(table, key): entry for table, key, entry in draft.entries() if _may_be_shared(table, key)} for draft in drafts
    )
    common = {
        place: entry
        for place, entry in first.items()
        if all(place in other and other[place].value == entry.value for other in others)
    }
    if not common:
        return ""
    shared = Draft(source, 1)
    shared.head = [f"What all jobs in this folder have in common, imported from {source}"]
    for (table, key), entry in common.items():
        shared.put(table, key, entry.value, entry.comment)
        for draft in drafts:
            draft.drop(table, key)
    return shared.render()


def _may_be_shared(table: str, key: str) -> bool:
    return table == "run" or (table, key) == ("schedule", "timezone")


def _comment(text: str) -> str:
    return f"# {escaped(text)}".rstrip()


def _entry_lines(key: str, entry: _DraftEntry) -> list[str]:
    written, lost = f"{key} = {toml(entry.value)}", [_comment(line) for line in entry.left_out]
    if entry.refused:
        return [*lost, _comment(f"not taken: {entry.refused}"), _comment(written)]
    return [*lost, f"{written}  # {entry.comment}" if entry.comment else written]


def check(name: str, text: str) -> tuple[Problem, ...]:
    """Parse a job file as akjob does and return what it objects to."""
    return parse_job(name, f"jobs.d/{name}.toml", text, defaults=(), config=Config()).problems


_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def toml(value: object) -> str:
    """Write a value as TOML on one line, a string as it is where that is possible."""
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, Mapping):
        pairs = (f"{key_text(key)} = {toml(inner)}" for key, inner in value.items())
        return f"{{ {', '.join(pairs)} }}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(toml, value))}]"
    return value_text(value)


def _string(text: str) -> str:
    if ('"' in text or "\\" in text) and "'" not in text and not _CONTROL.search(text):
        return f"'{text}'"  # a literal string shows the text as it is
    return value_text(text)


_NO_NAME = re.compile(r"[^A-Za-z0-9._-]+")


_LONGEST_NAME = 64
_HASH_DIGITS = 6


def slug(text: str) -> str:
    """Make a job's name of any text; "job" where nothing is left. What is too long ends in a hash of all of it."""
    name = re.sub("-{2,}", "-", _NO_NAME.sub("-", text)).strip("-._")
    if len(name) > _LONGEST_NAME:
        name = f"{name[: _LONGEST_NAME - _HASH_DIGITS - 1].rstrip('-._')}-{short_hash(text)}"
    return name or "job"


def short_hash(text: str) -> str:
    """Return six hexadecimal digits that are the same for the same text, always."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:_HASH_DIGITS]


def distinct(wanted: Sequence[tuple[str, str]], known: Mapping[str, str]) -> list[str]:
    """Return a name for each (name, source): equal ones get a hash of their source.

    ``known`` has the names that sources got before, so that a source keeps its name when others come and go.
    """
    counts = Counter(name.lower() for name, _ in wanted)
    old = {source: known[source] for _, source in wanted if source in known}
    names = ImportNames(old.values())
    found = []
    for name, source in wanted:
        kept = old.pop(source, None)
        alone = counts[name.lower()] == 1
        found.append(kept or names.take(name if alone else f"{name}-{short_hash(source)}"))
    return found


class ImportNames:
    """Hands out names that differ, also where case does not count: ``backup``, ``backup-2``."""

    def __init__(self, used: Iterable[str] = ()) -> None:
        self._used = {name.lower() for name in used}
        self._counts: dict[str, int] = {}

    def take(self, wanted: str) -> str:
        """Return ``wanted``, or the first of ``wanted-2``, ``wanted-3``, … that is free."""
        name, count = wanted, self._counts.get(wanted.lower(), 1)
        while name.lower() in self._used:
            count += 1
            name = f"{wanted}-{count}"
        self._counts[wanted.lower()] = count
        self._used.add(name.lower())
        return name
