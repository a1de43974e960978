"""What a key is: the one place where its name, its reader, its default, its words and its schema stand together.

The tables themselves are in :mod:`akjob.spec.job`, :mod:`~akjob.spec.when` and :mod:`~akjob.spec.policy`; the parser,
the JSON Schema, the layout of new files and the canonical text are all made from them.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from akjob.keys.habits import SYNONYMS, Habit, habit_of
from akjob.keys.values import Reader, Reading
from akjob.toml.near import near
from akjob.toml.scan import Path

Schema = Mapping[str, Any]


class Key(NamedTuple):
    """One key of a table: ``field`` is its name in the model, ``default`` the TOML value that leaving it out means."""

    name: str
    read: Reader
    field: str
    doc: str
    schema: Schema
    default: Any = None


Keys = Mapping[str, Key]


def keys(*members: Key) -> dict[str, Key]:
    """Make a table of keys, in the order in which a file should have them."""
    return {key.name: key for key in members}


_HOMES: dict[str, str] = {
    "instances": "the top"
}  # key name -> the table that it belongs in, of those that stand for themselves


def register_home(table: str, members: Keys) -> None:
    """Remember where the keys of a table belong, for those who write them into another."""
    for name in members:
        _HOMES.setdefault(name, table)


def fields(value: Mapping[str, object], path: Path, out: Reading, members: Keys) -> dict[str, Any]:
    """Read a table: model field to what was read. Unknown keys are noted."""
    found = {}
    for name, item in value.items():
        key = members.get(name)
        if key is None:
            unknown(name, path, out, members)
        else:
            found[key[2]] = key[1](
                item, (*path, name), out
            )  # field and read: this line runs for every key of every file
    return found


def unknown(name: str, path: Path, out: Reading, members: Keys) -> None:
    """Note an unknown key: the table it belongs in, or the key that was probably meant."""
    here = f"in [{path[0]}]" if path else "at the top"
    synonym = SYNONYMS.get(name.lower(), name.lower())
    home = _HOMES.get(synonym)
    if path == () and name == "name":
        out.bad(
            (name,), "unknown-key", "unknown key `name`", "a job's name is its file's path below jobs.d", at_key=True
        )
    elif synonym in members:
        out.guessed.add((*path, synonym))
        message = f"unknown key `{name}`; did you mean `{synonym}`?"
        out.bad((*path, name), "unknown-key", message, f"write {synonym}", at_key=True)
    elif home is not None and len(path) < 2 and home != here.removeprefix("in ").replace("at the top", "the top"):  # noqa: PLR2004 - only the tables at the top have homes
        where = "above the first [table]" if home == "the top" else f"below {home}"
        out.guessed.add(_at_home(synonym))
        message = f"unknown key `{name}` {here}; `{synonym}` belongs {where}"
        out.bad((*path, name), "unknown-key", message, f"move it {where}", at_key=True)
    elif (habit := _habit(name, path, members)) is not None:
        out.guessed.add(tuple(habit.key.split(".")) if habit.key else ())
        of = f" (a key of {habit.of})" if habit.of else ""
        message = f"unknown key `{name}`{of}" + (f"; did you mean `{habit.key}`?" if habit.key and habit.alike else "")
        out.bad((*path, name), "unknown-key", message, habit.write, at_key=True)
    else:
        known = members if len(path) > 1 else {**_HOMES, **members}
        guess = near(name, known)
        elsewhere = guess if guess not in members else None
        if guess is not None and guess in members:
            out.guessed.add((*path, guess))
        if elsewhere is None:
            out.unknown_key((*path, name), members)
            return
        where = "above the first [table]" if _HOMES[elsewhere] == "the top" else f"below {_HOMES[elsewhere]}"
        out.guessed.add(_at_home(elsewhere))
        message = f"unknown key `{name}` {here}; did you mean `{elsewhere}`, which belongs {where}?"
        out.bad((*path, name), "unknown-key", message, f"write {elsewhere} {where}", at_key=True)


def _habit(name: str, path: Path, members: Keys) -> Habit | None:
    """Return the habit that a key is from, unless it is the singular or plural of one of this table's own."""
    if len(path) > 1 or f"{name.lower()}s" in members or name.lower().removesuffix("s") in members:
        return None
    return habit_of(name)


def _at_home(name: str) -> Path:
    """Return the path of a key in the table that it belongs in."""
    home = _HOMES[name]
    return (name,) if home == "the top" else (home.strip("[]"), name)
