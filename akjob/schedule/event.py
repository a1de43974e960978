"""What a trigger that is an event says of itself: to those who read, write, show, check and decide it."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Self

from msgspec import Struct

from akjob.keys import values
from akjob.keys.key import Key, Keys, Schema, fields
from akjob.keys.schemas import DURATION, WORD, some, table_schema
from akjob.keys.values import Reading
from akjob.schedule.wording import duration_words
from akjob.toml.scan import Path
from akjob.units import format_duration


class Loaded(Struct, frozen=True, kw_only=True):
    """The loading of a definition, as the events see it.

    ``started_us`` is akjobd's start, ``boot_us`` the instant that stands for the machine's boot (None: unknown).
    ``first``: akjobd has just started; ``booted``: and no akjobd has since the boot; ``is_new``: the job has no
    history; ``watermark_us`` is the instant up to which all is accounted for.
    """

    now_us: int
    started_us: int
    boot_us: int | None
    first: bool
    booted: bool
    is_new: bool
    watermark_us: int


class Event(Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True, tag=True):
    """One of these triggers: the class is the kind, an instance what a job file says of it."""

    key: ClassVar[str] = ""
    """The key in ``[schedule]``."""
    trigger: ClassVar[str] = "start"
    """What a run that it makes due has as its trigger."""
    doc: ClassVar[str] = ""
    """What it means, for the schema and `akjob help`."""
    because: ClassVar[str] = ""
    """What had happened when a run was due by it."""
    example: ClassVar[str] = "true"
    off: ClassVar[object] = None
    """The value in a file that says the same as no value."""
    table: ClassVar[Keys] = {}
    """The keys of its table, where its value may be one."""
    names_jobs: ClassVar[bool] = False
    """True: it has :attr:`upstreams`."""
    is_local: ClassVar[bool] = False
    """True: it happens to one machine of a cluster, and its runs stay there."""

    @classmethod
    def as_key(cls) -> Key:
        """Return its key in ``[schedule]``."""
        return Key(cls.key, cls.read, cls.key, cls.doc, cls.schema(), cls.off)

    @classmethod
    def read(cls, value: Any, path: Path, out: Reading) -> Self | None:
        """Return what a value in a file means; None if nothing, or if it is wrong, which is noted."""
        raise NotImplementedError

    @classmethod
    def schema(cls) -> Schema:
        """Return the JSON Schema of its value."""
        raise NotImplementedError

    @classmethod
    def variables(cls, cause: Mapping[str, Any]) -> Mapping[str, str]:
        """Return what a run finds in its environment of the event; ``cause`` is that of its occurrence."""
        del cause
        return {}

    def written(self) -> object:
        """Return the TOML value that reads back as this."""
        raise NotImplementedError

    def words(self) -> str:
        """Return it in words, for people."""
        raise NotImplementedError

    def due(self, loaded: Loaded) -> Iterator[int]:
        """Yield the instants at which the loading of a definition makes its job due."""
        del loaded
        yield from ()

    @property
    def upstreams(self) -> tuple[str, ...]:
        """The other jobs that it names."""
        return ()


_DELAY = values.duration()


class Delayed(Event, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """An event whose value is ``true``, or how long after it the job is due."""

    off: ClassVar[object] = False
    said: ClassVar[str] = ""
    """It in words."""
    later: ClassVar[str] = ""
    """The same with a delay, which replaces ``{}``."""

    delay_us: int = 0

    @classmethod
    def read(cls, value: Any, path: Path, out: Reading) -> Self | None:
        """Read true, false, or how long after it."""
        if type(value) is bool:
            return cls() if value else None
        if type(value) is str and value.lower() not in {"true", "false"}:
            delay_us = _DELAY(value, path, out)
            return None if delay_us is None else cls(delay_us=delay_us)
        hint = f"write {value.lower()}" if type(value) is str else 'write true, or "2m" for two minutes after it'
        out.wrong_type(path, "true, false or a duration", value, hint)
        return None

    @classmethod
    def schema(cls) -> Schema:
        """Return the JSON Schema of a flag or a duration."""
        return {"anyOf": [{"type": "boolean"}, DURATION]}

    def written(self) -> object:
        """Return true, or the delay."""
        return format_duration(self.delay_us) if self.delay_us else True

    def words(self) -> str:
        """Return it in words, with the delay if there is one."""
        return self.later.format(duration_words(self.delay_us)) if self.delay_us else self.said


class Tabular(Event, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """An event whose value is a string, an array of strings, or a table that has these as one of its keys."""

    main: ClassVar[str] = ""
    """That key of the table."""
    wanted: ClassVar[str] = ""
    """What the value must be, in words."""
    plain: ClassVar[str] = ""
    """A value that is a string, with its quotes."""

    @classmethod
    def read(cls, value: Any, path: Path, out: Reading) -> Self | None:
        """Read the string, the array, or the table."""
        main = cls.table[cls.main]
        if type(value) in {str, list}:
            return cls(**{main.field: tuple(dict.fromkeys(main.read(value, path, out)))})
        if type(value) is not dict:
            out.wrong_type(path, cls.wanted, value, f"write {cls.plain}")
            return None
        errors = out.errors
        found = fields(value, path, out, cls.table)
        values.check_required(value, path, out, (cls.main,))
        cls.check(value, found, path, out, sound=errors == out.errors)
        if errors != out.errors:
            return None
        return cls(**{**found, main.field: tuple(dict.fromkeys(found[main.field]))})

    @classmethod
    def check(
        cls, value: Mapping[str, Any], found: Mapping[str, Any], path: Path, out: Reading, *, sound: bool
    ) -> None:
        """Note what is wrong with the keys of a table together.

        ``found`` is what each was read as; ``sound``: each of them alone is right.
        """
        del value, found, path, out, sound

    @classmethod
    def schema(cls) -> Schema:
        """Return the JSON Schema of all three forms."""
        return {"anyOf": [WORD, some(WORD), table_schema(cls.table, (cls.main,))]}

    def written(self) -> object:
        """Return the strings alone where the rest is as it would be without it."""
        field = self.table[self.main].field
        strings = list(getattr(self, field))
        value = strings[0] if len(strings) == 1 else strings
        if self == type(self)(**{field: getattr(self, field)}):
            return value
        return {self.main: value, **self.rest()}

    def rest(self) -> dict[str, object]:
        """Return the other keys of the table whose values are not as they would be without them."""
        raise NotImplementedError
