"""Dill files: packing a callable or an object, and the record that says what it was made from.

A record is next to its file (``send.dill.json``): hash and size, the Python and dill it was made by, what is inside,
what it imports and which distributions that came from, and the source it was made from, so that it can be made again.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from hashlib import sha256
from importlib.util import MAGIC_NUMBER
from pathlib import Path
from typing import Any

from msgspec import Struct

from akjob.code.calls import JobCallable
from akjob.code.dump import dumps, facts
from akjob.code.names import NameMissingError, UndecidedError, find, find_module
from akjob.code.pickles import examine_bytes
from akjob.errors import AkjobError, UsageError
from akjob.spec import to_toml

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
_DUMP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "dump.py")


class Packed(Struct, frozen=True):
    """A dill file that was made: its path, the record's content, and whether the bytes differ from those before."""

    file: Path
    record: Mapping[str, Any]
    changed: bool

    def table(self) -> dict[str, str]:
        """Return the ``dill`` table of a job file next to it."""
        return {"file": self.file.name, "sha256": self.record["sha256"], "python": self.record["python"]}

    def toml(self, kwargs: Mapping[str, object] | None = None) -> str:
        """Return the lines of the job file, with keyword arguments if there are any."""
        table: dict[str, Any] = {"dill": self.table()}
        if kwargs:
            table["kwargs"] = dict(kwargs)
        return to_toml(table)


class Source(Struct, frozen=True):
    """What a name is taken from. ``text`` is None for a module that is imported and referenced, not packed.

    ``file`` is what tracebacks call it, ``folder`` where a script's own imports are looked for.
    """

    kind: str
    target: str
    name: str
    module: str
    package: str
    file: str
    folder: str
    text: str | None


def pack(target: str, output: Path, *, path: Sequence[str], by_value: bool = False, stdin: str = "") -> Packed:
    """Pack what ``target`` names into ``output``, and write its record.

    ``target`` is ``pkg.mod:name`` (referenced, or whole with ``by_value``), ``script.py:name``, ``notebook.ipynb:name``
    or ``-:name`` for a script in ``stdin`` (these whole). ``path`` is where modules are looked for. The script, or the
    module, is executed in a process of its own. Raises AkjobError.
    """
    source = _source(target, path, by_value=by_value, stdin=stdin)
    return _made(source, output, path, source.folder)


def rebuild(file: Path, *, path: Sequence[str]) -> Packed:
    """Make a dill file again, by this Python, from the source in its record. Raises AkjobError."""
    record = read_record(file)
    source = record.get("made_from")
    try:
        made_from = Source(**source)  # type: ignore[arg-type]
    except TypeError:
        raise AkjobError(
            f"the record {file}.json does not say what {file.name} was made from", hint="pack it"
        ) from None
    if made_from.kind == "object":
        return _carried_over(file, record, made_from)
    return _made(made_from, file, path, str(file.parent))


def _carried_over(file: Path, record: dict[str, Any], made_from: Source) -> Packed:
    """Return a file that holds no code, only names and values, as this Python's: it is good for any."""
    content = file.read_bytes()
    report = examine_bytes(content)
    if report["code"] or report["error"] or sha256(content).hexdigest() != record.get("sha256"):
        raise AkjobError(
            f"{file.name} was made from an object in a running program, so there is no source to make it from",
            hint="run the program that saved it again, with this Python",
        )
    about = {name: record.get(name, "") for name in ("qualname", "signature", "source")}
    return _written(file, content, about, made_from)


def pack_object(value: object, output: Path) -> Packed:
    """Pack an object of this very process. Raises AkjobError when dill cannot."""
    try:
        content = dumps(value)
    except Exception as error:
        raise AkjobError(
            f"{_short(value)} cannot be packed: {type(error).__name__}: {error}",
            hint="open files, sockets, locks and running threads cannot be packed: make them in run()",
        ) from error
    source = Source("object", "", "", "", "", "", "", None)
    inner = value.callable_object if isinstance(value, JobCallable) else value
    return _written(output, content, facts(inner), source)


def read_record(file: Path) -> dict[str, Any]:
    """Return the record of a dill file. Raises AkjobError."""
    path = Path(f"{file}.json")
    try:
        record = json.loads(path.read_bytes())
    except OSError as error:
        raise AkjobError(
            f"{path} cannot be read: {error.strerror}", hint="`akjob pack` writes it next to the file"
        ) from None
    except ValueError as error:
        raise AkjobError(f"{path} is not a record: {error}", hint="`akjob pack` writes it next to the file") from None
    if not isinstance(record, dict):
        raise AkjobError(f"{path} is not a record", hint="`akjob pack` writes it next to the file")
    return record


# What is packed


def _source(target: str, path: Sequence[str], *, by_value: bool, stdin: str) -> Source:
    place, colon, name = target.rpartition(":")
    if colon and place == "-":
        return Source("script", target, name, "stdin", "", "stdin.py", "", stdin)
    if colon and place.endswith((".py", ".ipynb")):
        return _script(place, name)
    if not by_value:
        return Source("reference", target, name, place, "", "", "", None)
    try:
        found = find(target, path).module if not colon else find_module(place, path)
    except NameMissingError as missing:
        raise AkjobError(f"{target}: {missing.message}", hint=missing.hint) from None
    except UndecidedError:
        raise AkjobError(f"{target}: its source is not found", hint="write it as module:name") from None
    if found.file is None:
        raise AkjobError(f"{target}: {found.name} has no Python source", hint="leave out --by-value") from None
    inner = target[len(found.name) + 1 :]
    package = found.name if found.folders is not None else found.name.rpartition(".")[0]
    text = _text(Path(found.file))
    return Source("module", target, inner, found.name, package, os.path.basename(found.file), "", text)


def _script(place: str, name: str) -> Source:
    text = _text(Path(place))
    folder, file = os.path.split(place)
    module = "".join(sign if sign.isalnum() else "_" for sign in file.rpartition(".")[0])
    if file.endswith(".ipynb"):
        return Source(
            "notebook", f"{file}:{name}", name, module, "", f"{module}.py", folder, notebook_source(text, place)
        )
    return Source("script", f"{file}:{name}", name, module, "", file, folder, text)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}", hint="check its name") from None
    except UnicodeDecodeError as error:
        raise AkjobError(f"{file} is not UTF-8 text: {error}", hint="save it as UTF-8") from None


def notebook_source(text: str, file: str) -> str:
    """Return the code cells of a notebook as one script. Lines for IPython (``%``, ``!``, ``?``) become comments."""
    try:
        cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
        sources = ["".join(cell["source"]) for cell in cells]
    except (ValueError, KeyError, TypeError):
        raise AkjobError(f"{file} is not a notebook of format 4", hint="save it again with Jupyter") from None
    lines: list[str] = []
    for source in sources:
        if source.lstrip().startswith("%%"):
            continue
        for line in source.splitlines():
            bare = line.lstrip()
            magic = bare.startswith(("%", "!", "?")) or bare.rstrip().endswith("?")
            lines.append(f"{line[: len(line) - len(bare)]}pass  # {bare}" if magic else line)
        lines.append("")
    return "\n".join(lines)


# Making


def _made(source: Source, output: Path, path: Sequence[str], beside: str) -> Packed:
    folder = [os.path.abspath(beside or ".")] if source.kind in ("script", "notebook") else []
    order = {
        "target": source.target,
        "name": source.name,
        "module": source.module,
        "package": source.package,
        "file": source.file,
        "text": source.text,
        "path": [*folder, *path],
    }
    answer = _in_a_process(order)
    if "error" in answer:
        raise AkjobError(f"{source.target} cannot be packed: {answer['error']}", hint=_advice(answer["error"]))
    return _written(output, bytes.fromhex(answer.pop("content")), answer, source)


def _advice(error: str) -> str:
    if error.startswith(("PicklingError", "TypeError: cannot pickle")):
        return "open files, sockets, locks and running threads cannot be packed: make them in the function"
    if error.startswith("ModuleNotFoundError"):
        return "install it, or add its folder to pythonpath in etc/akjob.toml"
    return ""


def _in_a_process(order: dict[str, Any]) -> dict[str, Any]:
    """Let dump.py work in a process where hashes, and so the order of sets, are always the same."""
    with tempfile.TemporaryDirectory(prefix="akjob-pack-") as folder:
        answer = os.path.join(folder, "answer.json")
        done = subprocess.run(
            [sys.executable, "-P", "-B", _DUMP],
            input=json.dumps({**order, "answer": answer}).encode(),
            env={**os.environ, "PYTHONHASHSEED": "0"},
            stdout=sys.stderr.fileno() if _has_descriptor(sys.stderr) else subprocess.DEVNULL,
            check=False,
        )
        try:
            result: dict[str, Any] = json.loads(Path(answer).read_bytes())
        except (OSError, ValueError):
            return {"error": f"the process that executes it ended with the code {done.returncode}"}
        return result


def _has_descriptor(stream: Any) -> bool:
    try:
        return bool(stream.fileno() >= 0)
    except (OSError, ValueError, AttributeError):
        return False


def _written(output: Path, content: bytes, about: Mapping[str, Any], source: Source) -> Packed:
    report = examine_bytes(content)
    record = {
        "sha256": sha256(content).hexdigest(),
        "size": len(content),
        "python": HERE,
        "magic": int.from_bytes(MAGIC_NUMBER[:2], "little"),
        "dill": _version("dill"),
        "gives": report["gives"],
        "qualname": about["qualname"],
        "signature": about["signature"],
        "imports": _imports([*report["modules"], about["qualname"].partition(".")[0]], source.module),
        "source": about["source"],
        "made_from": {name: getattr(source, name) for name in source.__struct_fields__},
    }
    record["made_from"]["folder"] = (
        ""  # the same in every checkout: a script's imports are looked for next to its dill file
    )
    text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
    changed = _replaced(output, content)
    _replaced(Path(f"{output}.json"), text.encode("utf-8", "backslashreplace"))
    return Packed(output, record, changed)


def _replaced(path: Path, content: bytes) -> bool:
    """Replace a file in one step unless it has this content already; return whether it was replaced."""
    try:
        if path.read_bytes() == content:
            return False
        mode = path.stat().st_mode & 0o777
    except FileNotFoundError:
        mode = None
    except OSError as error:
        raise AkjobError(f"{path} cannot be read: {error.strerror}", hint="check its mode") from None
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        with open(descriptor, "wb") as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise AkjobError(
            f"{path} cannot be written: {error.strerror}", hint="check the folder's name and mode"
        ) from None
    return True


def _imports(modules: Iterable[str], own: str) -> list[dict[str, str]]:
    """Return for each module from outside the standard library its top name, distribution and version."""
    tops = {module.partition(".")[0] for module in modules if module}
    tops -= {"builtins", "dill", "__main__", "?", own.partition(".")[0] if own else ""}
    found = [(top, _owner(top)) for top in sorted(tops) if top not in sys.stdlib_module_names]
    return [{"module": top, "distribution": name, "version": _version(name) if name else ""} for top, name in found]


def _owner(module: str) -> str:
    """Return the distribution that a module came with, or nothing."""
    return "akjob" if module == "akjob" else (_distributions().get(module) or [""])[0]


@cache
def _distributions() -> Mapping[str, list[str]]:
    from importlib.metadata import packages_distributions  # noqa: PLC0415 - reads the metadata of all that is installed

    return packages_distributions()


def _version(distribution: str) -> str:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - as above

    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"  # noqa: PLR2004
