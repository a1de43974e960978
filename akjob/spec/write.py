"""Writing job files: new ones in one layout, old ones with their comments and order kept, always atomically."""

import contextlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from akjob.errors import AkjobError, UsageError
from akjob.spec.canonical import key_text, value_text
from akjob.spec.job import SECTIONS, TOP
from akjob.toml.read import read_table
from akjob.toml.scan import locate

_WIDTH = 100


def to_toml(table: Mapping[str, Any], *, schema: str | None = None) -> str:
    """Write a job's table: description, what to run, its arguments, then ``[schedule]``, ``[limits]``, ``[run]``.

    Keys are in the documented order, whatever the order of the dict. ``schema`` is the path for a ``#:schema`` line.
    """
    lines = [f"#:schema {schema}\n"] if schema else []
    lines += [_line(name, table[name]) for name in TOP if name in table and name not in SECTIONS]
    for section, members in SECTIONS.items():
        given = table.get(section)
        if given:
            lines.append(f"\n[{section}]\n")
            lines += [_line(name, given[name]) for name in members if name in given]
    return "".join(lines)


def _line(name: str, value: object) -> str:
    """Write one key; a long array goes one value a line."""
    text = f"{key_text(name)} = {_laid_out(value)}"
    if isinstance(value, (list, tuple)) and len(value) > 1 and len(text) > _WIDTH:
        text = f"{key_text(name)} = [\n" + "".join(f"    {_laid_out(item)},\n" for item in value) + "]"
    elif isinstance(value, str) and "\n" in value and _fits_literal(value):
        text = f"{key_text(name)} = '''\n{value}'''"
    return text + "\n"


def _fits_literal(text: str) -> bool:
    """Return True if a string of several lines can stand between ``'''`` as it is."""
    plain = all(sign in {"\n", "\t"} or sign.isprintable() for sign in text)
    return plain and "'''" not in text and not text.endswith("'")


def _laid_out(value: object) -> str:
    """Write a value on one line, tables with their keys in the order of the dict."""
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{key_text(key)} = {_laid_out(item)}" for key, item in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_laid_out, value))}]"
    return value_text(value)


def edit_file(path: Path, changes: Mapping[str, object]) -> None:
    """Set keys of a job file, its comments and the order of its keys kept.

    ``changes`` maps a key to its new value, or to None to remove it; a dict changes keys of that table. Raises
    AkjobError when the file cannot be read as TOML or written.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise AkjobError(f"cannot read {path}: {error.strerror}", hint="check its name and its mode") from None
    before, _, problem = read_table(str(path), raw)
    if problem is not None:
        raise AkjobError(f"cannot edit a broken file: {problem}", hint=problem.hint or "repair it first")
    edited = _edited(raw.decode(), before, changes)
    after, _, problem = read_table(str(path), edited)
    if problem is not None or after != _changed(before, changes):
        raise AkjobError(f"cannot edit {path} without spoiling it", hint="edit it by hand")
    write_file(path, edited)


def edit_instance(path: Path, instance: str, changes: Mapping[str, object]) -> None:
    """Set keys of an instance's table, which comes about if the file has only a list of names.

    Raises AkjobError as :func:`edit_file` does, and for an instance that is not there.
    """
    instances = _instances_in(path, instance)
    if isinstance(instances, list):
        edit_file(path, {"instances": None})
        tables = "".join(f"\n[instances.{key_text(name)}]\n" for name in instances)
        write_file(path, path.read_text(encoding="utf-8").rstrip("\n") + "\n" + tables)
        edit_file(path, {"instances": {instance: changes}})
    else:
        edit_file(path, {"instances": {instance: changes}})


def delete_instance(path: Path, instance: str) -> None:
    """Remove an instance from its file; the last one stays, for the file would be another job without it."""
    instances = _instances_in(path, instance)
    if len(instances) == 1:
        message = f"{instance} is the only instance in {path}"
        raise AkjobError(message, hint="delete the file, or remove `instances` by hand")
    if isinstance(instances, list):
        edit_file(path, {"instances": [name for name in instances if name != instance]})
    else:
        edit_file(path, {"instances": {instance: None}})


def _instances_in(path: Path, instance: str) -> Mapping[str, Any] | list[str]:
    """Return the instances of a file. Raises AkjobError where the one that is meant is not among them."""
    try:
        table, _, problem = read_table(str(path), path.read_bytes())
    except OSError as error:
        raise AkjobError(f"cannot read {path}: {error.strerror}", hint="check its name and its mode") from None
    if problem is not None:
        raise AkjobError(f"cannot edit a broken file: {problem}", hint=problem.hint or "repair it first")
    instances = table.get("instances", {})
    if not isinstance(instances, (dict, list)) or instance not in instances:
        names = ", ".join(map(str, instances)) if isinstance(instances, (dict, list)) and instances else "none"
        raise UsageError(f"{path} has no instance {instance}", hint=f"its instances: {names}")
    return instances


def _changed(table: Mapping[str, object], changes: Mapping[str, object]) -> dict[str, Any]:
    """Return what the table is with the changes, to check the edited text against."""
    changed = dict(table)
    for key, value in changes.items():
        if value is None:
            changed.pop(key, None)
        elif isinstance(value, Mapping):
            old = changed.get(key)
            changed[key] = _changed(old if isinstance(old, Mapping) else {}, value)
        else:
            changed[key] = value
    return changed


def _edited(text: str, before: Mapping[str, object], changes: Mapping[str, object]) -> str:
    """Return the text with the changes made: new keys of the top by hand, the rest by tomlkit."""
    edited = text.replace("\r\n", "\n")
    fresh = {key: value for key, value in changes.items() if key not in before and not isinstance(value, Mapping)}
    for key, value in fresh.items():
        if value is not None:
            edited = _with_key(edited, _line(key, value))
    others = {key: value for key, value in changes.items() if key not in fresh}
    if others:
        import tomlkit  # noqa: PLC0415 - slow to import, and only edits need it

        document = tomlkit.parse(edited)
        _apply(document, others)
        edited = tomlkit.dumps(document)
    return edited.replace("\n", "\r\n") if "\r\n" in text else edited


def _with_key(text: str, line: str) -> str:
    """Add a line after the last key of the top: the comments above the first header belong to its table.

    tomlkit would write it between the two.
    """
    positions = locate(text)
    ends = {path: span for path, span in positions.values.items() if path in positions.keys}
    first = min((start for path, (start, _) in ends.items() if positions.keys[path] > start), default=len(text))
    last = max((end for end in (span[1] for span in ends.values()) if end <= first), default=0)
    end = text.find("\n", last)
    at = first if not last else len(text) if end < 0 else end + 1
    gap = "\n" if at and text[at - 1] != "\n" else ""
    return text[:at] + gap + line + text[at:]


def _apply(table: Any, changes: Mapping[str, Any]) -> None:
    for key, value in changes.items():
        if value is None:
            if key in table:
                table.remove(key)
        elif isinstance(value, Mapping):
            if not isinstance(table.get(key), Mapping):
                import tomlkit  # noqa: PLC0415 - loaded already

                # A header inside a section would take what follows in it along.
                table[key] = tomlkit.table() if isinstance(table, tomlkit.TOMLDocument) else tomlkit.inline_table()
            _apply(table[key], value)
        else:
            table[key] = value


def write_file(path: Path, text: str) -> None:
    """Replace a file in one step, or make it: a temporary file next to it, synced, then renamed over it.

    Readers see the old text or the new, also after a power cut. Mode and, where allowed, owner of an existing file are
    kept; a symlink stays one. Raises AkjobError when the folder cannot be written.
    """
    target = os.path.realpath(path)
    folder, name = os.path.split(target)
    temporary = os.path.join(folder, f".{name}.{os.urandom(4).hex()}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            with os.fdopen(descriptor, "wb") as file:
                _copy_rights(target, file.fileno())
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise
        _sync_folder(folder)
    except OSError as error:
        hint = "check that the folder exists and that you may write in it"
        raise AkjobError(f"cannot write {path}: {error.strerror}", hint=hint) from None


def _copy_rights(target: str, descriptor: int) -> None:
    """Give the new file the mode and owner of the old one, if there is one."""
    try:
        old = os.stat(target)
    except FileNotFoundError:
        return
    with contextlib.suppress(PermissionError):  # only root gives files away; the mode still counts
        os.fchown(descriptor, old.st_uid, old.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))


def _sync_folder(folder: str) -> None:
    descriptor = os.open(folder or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
