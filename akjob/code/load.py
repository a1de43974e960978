"""From what a job file names to something to call, in the run's own process and nowhere else.

This is read by a process that was forked from a bare ``python -I -S`` a moment ago, on its way to the job's first
instruction: at the top it imports what is loaded there anyway, and everything else only on the way that needs it.
"""

from __future__ import annotations

import os
import site
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

OWN_JOB = "akjob.models:own_job"  # named as a job file names its code: the run knows it no better than that
RESULT_BYTES = 4096
ERROR_CHARS = 4000
_PYTHONS_HOOKS = 2


_AS_IT_IS: Mapping[str, str] = {}


class CodeError(Exception):
    """The job's code cannot be had: the reason, what was looked at, and what to do."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


# Where code is looked for


def prepare_path(  # noqa: PLR0913, PLR0917 - all that a path comes from
    root: str,
    cwd: str,
    pythonpath: Sequence[str],
    base_path: Sequence[str],
    known: SiteSetup | None = None,
    environment: Mapping[str, str] = _AS_IT_IS,
) -> None:
    """Set ``sys.path``: the root, ``cwd``, ``pythonpath``, then where Python looks by itself.

    ``base_path`` is the path of the bare interpreter (its standard library). Relative entries of ``pythonpath`` are
    below the root. ``PYTHONPATH`` of the run's environment, ``.pth`` files, a virtual environment and the user's own
    site-packages count as they do for a plain ``python``. What :func:`learn` found is taken if it still holds;
    ``environment`` has all of ``os.environ`` that may have changed since then.
    """
    if known is not None and known.holds(environment):
        given = _entries(environment["PYTHONPATH"]) if "PYTHONPATH" in environment else known.given
        known.apply(given)
    else:
        if known is not None:
            known.undo_shared()
        sys.path[:] = _entries(os.environ.get("PYTHONPATH", "")) + list(base_path)
        _let_python_look()
    own = [root, cwd]
    if pythonpath:
        own += [os.path.join(root, entry) for entry in pythonpath]
    sys.path[:] = list(dict.fromkeys([*own, *sys.path]))
    forget_folders(base_path)
    _skip_zip(own)


def forget_folders(base_path: Sequence[str]) -> None:
    """Forget what is in folders: a listing may be older than an edit of this moment. The standard library's stays."""
    for entry in [known for known in sys.path_importer_cache if known not in base_path]:
        del sys.path_importer_cache[entry]


def _skip_zip(folders: Sequence[str]) -> None:
    """Keep ``zipimport`` from checking that folders are not archives: the last of Python's hooks is for folders."""
    if len(sys.path_hooks) != _PYTHONS_HOOKS:
        return
    for folder in folders:
        try:
            sys.path_importer_cache[folder] = sys.path_hooks[-1](folder)
        except ImportError:  # an archive, or not there
            continue


def _entries(path: str) -> list[str]:
    return [entry for entry in path.split(os.pathsep) if entry]


def _let_python_look() -> None:
    # -I says "no user site" for the parent's sake; site.main() takes it back in a virtual environment without it.
    site.ENABLE_USER_SITE = "PYTHONNOUSERSITE" not in os.environ and os.getuid() == os.geteuid()
    site.main()


class SiteSetup:
    """What ``site.main()`` does here, so that a run need not find it out again: it costs as much as a fork.

    Good as long as the folders with ``.pth`` files, and the files, are as they were, and for the same user. The lines
    that a ``.pth`` file has executed are executed in each run, as Python does at each start.
    """

    def __init__(self, path: list[str], prefixes: tuple[str, str], lines: list[str], marks: dict[str, int]) -> None:
        self.path = path
        self.prefixes = prefixes
        self.lines = lines
        self.marks = marks
        self.users = os.getuid(), os.geteuid()
        self.given = _entries(os.environ.get("PYTHONPATH", ""))
        self._later: list[_Later] = []

    def holds(self, environment: Mapping[str, str]) -> bool:
        """Return whether Python would find the same now; ``environment`` as for :func:`prepare_path`."""
        if "HOME" in environment or "PYTHONNOUSERSITE" in environment or self.users != (os.getuid(), os.geteuid()):
            return False
        return all(_changed_ns(path) == mark for path, mark in self.marks.items())

    def apply_shared(self) -> None:
        """Do what ``site.main()`` would do that is the same in every run: once, in the process that forks them."""
        sys.prefix, sys.exec_prefix = self.prefixes
        # It only matters to those who import distutils, and costs every other run a third of its start.
        self._later = [_Later("distutils", line) for line in self.lines if _HACK in line]
        sys.meta_path[:0] = self._later  # type: ignore[assignment]
        self.lines = [line for line in self.lines if _HACK not in line]

    def undo_shared(self) -> None:
        """Undo that, for ``site.main()`` does it itself."""
        for later in self._later:
            with_it: list[object] = sys.meta_path  # type: ignore[assignment]
            if later in with_it:
                with_it.remove(later)

    def apply(self, given: list[str]) -> None:
        """Do the rest of what ``site.main()`` would; ``given`` comes first on the path."""
        sys.path[:] = list(dict.fromkeys([*given, *self.path]))
        for line in self.lines:
            exec(line)  # noqa: S102 - as site does


_HACK = "__import__('_distutils_hack').add_shim()"


class _Later:
    """Executes a line of a ``.pth`` file when the package that it is about is imported."""

    def __init__(self, package: str, line: str) -> None:
        self._package = package
        self._line = line

    def find_spec(self, name: str, path: object = None, target: object = None) -> object:
        """Find nothing; for the package, let what the line has put in front find it."""
        if name.partition(".")[0] != self._package:
            return None
        sys.meta_path.remove(self)  # type: ignore[arg-type]
        before = list(sys.meta_path)
        exec(self._line)  # noqa: S102 - as site does
        for finder in [finder for finder in sys.meta_path if finder not in before]:
            found = finder.find_spec(name, path, target)  # type: ignore[arg-type]
            if found is not None:
                return found
        return None


def learn(base_path: Sequence[str]) -> tuple[list[str], tuple[str, str], list[str], dict[str, int]] | None:
    """Run ``site.main()`` and return the arguments of :class:`SiteSetup`; None where each run must do it for itself.

    To be called in a process that ends afterwards: what ``.pth`` files and ``sitecustomize`` do is done in it.
    """
    sys.path[:] = list(base_path)
    _let_python_look()
    if "sitecustomize" in sys.modules or "usercustomize" in sys.modules:
        return None
    folders = [*site.getsitepackages(), *([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])]
    lines: list[str] = []
    marks = {os.path.join(sys.prefix, "pyvenv.cfg"): 0}
    for folder in folders:
        marks[folder] = 0
        try:
            names = sorted(name for name in os.listdir(folder) if name.endswith(".pth") and not name.startswith("."))
        except OSError:
            continue
        for name in names:
            marks[os.path.join(folder, name)] = 0
            with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
                lines += [line.strip() for line in file if line.startswith(("import ", "import\t"))]
    marks = {path: _changed_ns(path) for path in marks}
    return list(sys.path), (sys.prefix, sys.exec_prefix), lines, marks


def _changed_ns(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


# Dotted callables


def load_callable(
    target: str,
    args: Sequence[object] = (),
    kwargs: Mapping[str, object] | None = None,
) -> Callable[[], object]:
    """Import what ``pkg.module:name.attr`` or ``pkg.module.name`` names; return a function that calls it.

    A class, or an object with a ``run`` method, has that method called, with ``ownjob=`` when its signature names it.
    A class is made without arguments and ``run`` gets them; where that cannot be, the class gets them. What
    ``async def`` returns is run by ``asyncio.run``. Raises CodeError when there is nothing to call; what the call
    itself raises is the job's own matter, ``SystemExit`` at import too.
    """
    return _as_call(resolve(target), f"callable {target!r}", args, kwargs or {})


def touch(target: str) -> None:
    """Go the way to a callable's files as its import will: what is cold on it, in memory and on disk, is warm then.

    Nothing of the code is executed, and what was found is forgotten: it may change until it is imported.
    """
    finder: Any = sys.modules["_frozen_importlib_external"].PathFinder
    known, name, path = set(sys.path_importer_cache), "", None
    try:
        for part in target.partition(":")[0].split("."):
            name = f"{name}.{part}" if name else part
            spec = finder.find_spec(name, path)
            if spec is None:
                break
            for file in (spec.origin, spec.cached):
                _read(file)
            path = spec.submodule_search_locations
            if path is None:
                break
    except Exception:  # noqa: BLE001 - the import itself will say what is wrong
        return
    finally:
        for entry in set(sys.path_importer_cache) - known:
            del sys.path_importer_cache[entry]


def _read(path: object) -> None:
    if isinstance(path, str) and os.path.isfile(path):
        with open(path, "rb") as file:
            file.read()


def resolve(target: str) -> object:
    """Return the object that ``pkg.module:name.attr`` or ``pkg.module.name`` names. Raises CodeError."""
    module, colon, path = target.partition(":")
    if colon:
        return _attributes(_import(module, target), path.split("."), target)
    parts = target.split(".")
    if len(parts) == 1:
        raise CodeError(f"{target!r} names no module: write module:name, a builtin as builtins:{target}")
    failure = None
    # The longest module first: a package may hold a function and a module of one name.
    for size in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[:size])
        try:
            return _attributes(_import(name, target), parts[size:], target)
        except CodeError as error:
            missing = error.__cause__
            if not (isinstance(missing, ModuleNotFoundError) and _is_part(missing.name, name)):
                if failure is None or not isinstance(missing, AttributeError):
                    failure = error
                if not isinstance(missing, AttributeError):
                    break
            elif failure is None and size == 1:
                failure = error
    raise failure or CodeError(f"{target!r} cannot be found")


def _is_part(missing: str | None, name: str) -> bool:
    """Return whether the module that is missing is the one asked for or a package above it, not one that it imports."""
    return missing is not None and (name == missing or name.startswith(missing + "."))


def _import(name: str, target: str) -> object:
    try:
        __import__(name)
    except ModuleNotFoundError as error:
        if _is_part(error.name, name):
            raise CodeError(_not_found(str(error.name), target)) from error
        raise CodeError(
            f"callable {target!r}: importing {name} failed: it needs the module {error.name!r}, which is not there; "
            f"looked in {_looked_in()}; install it for {sys.executable}, or add its folder to pythonpath in "
            "etc/akjob.toml"
        ) from error
    except Exception as error:
        raise CodeError(f"callable {target!r}: importing {name} failed: {describe_exception(error)}") from error
    return sys.modules[name]


def _not_found(missing: str, target: str) -> str:
    parent, _, last = missing.rpartition(".")
    if parent:
        package = sys.modules.get(parent)
        folders = list(getattr(package, "__path__", ()))
        if not folders:
            return f"callable {target!r}: there is no module {missing!r}, for {parent!r} is a module, not a package"
    else:
        folders = sys.path
    near = _near(last, _modules_in(folders))
    where = _looked_in(folders)
    return f"callable {target!r}: there is no module {missing!r}{near}; looked in {where}"


def _looked_in(folders: Sequence[str] | None = None) -> str:
    return (
        ", ".join(entry or "the current folder" for entry in (sys.path if folders is None else folders)) or "no folder"
    )


def _modules_in(folders: Sequence[str]) -> list[str]:
    """Return the names of what could be imported from the folders; only for a suggestion, so nothing is certain."""
    found = []
    for folder in folders:
        try:
            entries = os.listdir(folder)
        except OSError:
            continue
        found += [entry.partition(".")[0] for entry in entries if entry.endswith((".py", ".so")) or "." not in entry]
    return found


def _near(word: str, words: Sequence[str]) -> str:
    try:
        from difflib import get_close_matches  # noqa: PLC0415 - only on the way to an error
    except ImportError:  # the run's user may not read Python's library
        return ""

    near = get_close_matches(word, [name for name in dict.fromkeys(words) if name.isidentifier()], 1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _attributes(value: object, path: list[str], target: str) -> object:
    where = getattr(value, "__name__", "")
    for name in path:
        try:
            value = getattr(value, name)
        except AttributeError as error:
            raise CodeError(f"callable {target!r}: {_lacks(value, where, name)}") from error
        where = f"{where}.{name}"
    return value


def _lacks(value: object, where: str, name: str) -> str:
    file = getattr(value, "__file__", None)
    modules = _modules_in(list(getattr(value, "__path__", ())))
    if name in modules:
        return f"{where}.{name} is a module, and a module cannot be called: write {where}.{name}:name"
    of = f"module {where} ({file})" if file else where
    return f"{of} has no {name!r}{_near(name, [*dir(value), *modules])}"


# Dill files


def load_dill(
    path: str,
    sha256: str,
    python: str,
    args: Sequence[object] = (),
    kwargs: Mapping[str, object] | None = None,
) -> Callable[[], object]:
    """Load a dill file whose Python and SHA-256 are as the job file says; return a function that calls what is in it.

    The bytes that are hashed are the bytes that are loaded. ``python`` is a minor version (``"3.11"``): a code object
    of another one loads, and then crashes the interpreter. Raises CodeError.
    """
    return _as_call(load_object(path, sha256, python), os.path.basename(path), args, kwargs or {})


def load_object(path: str, sha256: str, python: str) -> object:
    """Return what is in a dill file, after the same checks. Raises CodeError."""
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    name = os.path.basename(path)
    rebuild = f"akjob pack --rebuild {path}"
    if python.split(".")[:2] != here.split("."):
        raise CodeError(
            f"{name} was packed by Python {python} and this is Python {here}, which would crash on its code: make it "
            f"again with this Python by `{rebuild}`, or name a Python {python} as `interpreter` in [run]"
        )
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise CodeError(f"the dill file {path} cannot be read: {error.strerror}") from error
    digest = _sha256(content)
    if digest != sha256.lower():
        raise CodeError(
            f"{name} is not the file that was reviewed: its SHA-256 is {digest}, the job file has {sha256}; it was "
            f"not loaded. See what is in it by `akjob inspect {path}`; make it again from its recorded source by "
            f"`{rebuild}`"
        )
    return _loads(content, name)


def _sha256(content: bytes) -> str:
    # hashlib would bring in OpenSSL, of which one SHA-256 needs nothing.
    try:
        from _sha2 import sha256  # type: ignore[import-not-found, unused-ignore] # noqa: PLC0415 - since Python 3.12
    except ImportError:
        try:
            from _sha256 import sha256  # type: ignore[import-not-found, unused-ignore] # noqa: PLC0415 - until Python 3.11
        except ImportError:
            from hashlib import sha256  # noqa: PLC0415 - a Python built without either
    return str(sha256(content).hexdigest())


def _loads(content: bytes, name: str) -> object:
    # dill takes some 70 ms to import. Its unpickler differs from pickle's only for what names dill or __main__.
    needs_dill = b"dill" in content or b"__main__" in content
    try:
        if needs_dill:
            from dill import loads  # noqa: PLC0415
        else:
            from pickle import loads  # noqa: PLC0415
        return loads(content)  # noqa: S301 - its hash is the reviewed one's
    except ImportError as error:
        missing = getattr(error, "name", None)
        raise CodeError(
            f"{name} cannot be loaded: it needs {missing or error}, which cannot be imported here ({error}); looked in "
            f"{_looked_in()}; install it for {sys.executable}, or add its folder to pythonpath in etc/akjob.toml"
        ) from error
    except Exception as error:
        raise CodeError(f"{name} cannot be loaded: {describe_exception(error)}") from error


# The call


def _as_call(value: object, name: str, args: Sequence[object], kwargs: Mapping[str, object]) -> Callable[[], object]:
    run = getattr(value, "run", None)
    if isinstance(value, type(sys)):
        hint = ": write its function behind a colon" if run is None else f": did you mean {value.__name__}:run?"
        raise CodeError(f"{name} is a module, and a module cannot be called{hint}")
    if callable(run):
        return lambda: _finish(_run(value, args, kwargs))
    if callable(value):
        return lambda: _finish(value(*args, **kwargs))
    raise CodeError(f"{name} is {_kind(value)}, which cannot be called and has no run method")


def _kind(value: object) -> str:
    return "None" if value is None else f"of type {type(value).__qualname__}"


def _finish(result: object) -> object:
    if type(result).__name__ == "coroutine" and hasattr(result, "cr_frame"):
        from asyncio import run  # noqa: PLC0415 - it would double the cost of every other start

        return run(result)  # type: ignore[arg-type]
    if type(result).__name__ in ("generator", "async_generator") and hasattr(result, "close"):
        raise TypeError(
            "it is a generator function, and calling one executes nothing: name a function that goes through it"
        )
    return result


def _run(value: object, args: Sequence[object], kwargs: Mapping[str, object]) -> object:
    if isinstance(value, type):
        if args or kwargs:
            value, args, kwargs = _make(value, args, kwargs)
        else:
            value = value()
    run = value.run  # type: ignore[attr-defined]
    if "ownjob" not in kwargs and takes_ownjob(run):
        kwargs = {**kwargs, "ownjob": own_job(value)}
    return run(*args, **kwargs)


def _make(
    cls: type, args: Sequence[object], kwargs: Mapping[str, object]
) -> tuple[object, Sequence[object], Mapping[str, object]]:
    """Make the object whose ``run`` is called, and say which arguments are left for it."""
    from inspect import signature  # noqa: PLC0415 - only a class with arguments needs to ask

    try:
        signature(cls).bind()
        value = cls()
        run = value.run
        given = {"ownjob": None, **kwargs} if takes_ownjob(run) else kwargs
        signature(run).bind(*args, **given)
    except (TypeError, ValueError):
        return cls(*args, **kwargs), (), {}
    return value, args, kwargs


def takes_ownjob(function: object) -> bool:
    """Return whether a parameter is called ``ownjob``; ``**kwargs`` alone does not ask for it."""
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    code = getattr(function, "__code__", None)
    if code is not None:
        return "ownjob" in code.co_varnames[code.co_posonlyargcount : code.co_argcount + code.co_kwonlyargcount]
    from inspect import signature  # noqa: PLC0415 - partials and objects of C have no code to look at

    try:
        return "ownjob" in signature(function).parameters  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False


def own_job(code: object) -> object:
    """Return the running job as the object that ``code``, its own code, may change. Raises CodeError without akjob."""
    try:
        return resolve(OWN_JOB)(code)  # type: ignore[operator]
    except CodeError as error:
        raise CodeError(
            f"run() asks for ownjob, which needs akjob in the Python of the run ({sys.executable}): {error.reason}"
        ) from error


# What came of it


def result_json(value: object) -> str:
    """Write a return value as JSON in ASCII, at most 4 KiB; what JSON does not know, and what is longer: its repr."""
    try:
        text = _encode(value)
    except Exception:  # noqa: BLE001 - a circle, a NaN, a key that is not a string, a __repr__ that raises
        text = ""
    if text and len(text) <= RESULT_BYTES:
        return text
    try:
        shown = repr(value)
    except Exception:  # noqa: BLE001 - the job's own class; a run must not fail because of it
        shown = f"<{type(value).__qualname__}>"
    # Six bytes is the longest that one character of the basic plane is in ASCII; twelve beyond it.
    size = RESULT_BYTES
    text = _encode(shown[:size])
    while len(text) > RESULT_BYTES or (len(shown) > size and not text.endswith('\\u2026"')):
        size = min(size - 1, size * (RESULT_BYTES - 16) // len(text))
        text = _encode(shown[:size] + "\u2026")
    return text


def _encode(value: object) -> str:
    from _json import encode_basestring_ascii, make_encoder  # noqa: PLC0415 - json itself would bring in re and enum

    def other(unknown: object) -> object:
        return str(unknown) if hasattr(unknown, "isoformat") or hasattr(unknown, "__fspath__") else repr(unknown)

    if isinstance(value, str):
        return str(encode_basestring_ascii(value))
    encoder = make_encoder({}, other, encode_basestring_ascii, None, ": ", ", ", False, False, False)
    return "".join(encoder(value, 0))


def describe_exception(error: BaseException) -> str:
    """Return ``Type: message`` as a traceback's last line has it, cut to 4,000 characters."""
    if isinstance(error, CodeError):
        return error.reason
    kind = type(error)
    name = (
        kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"
    )
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - the job's own class
        message = "<its message cannot be shown: str() of it failed>"
    text = f"{name}: {message}" if message else name
    return text if len(text) <= ERROR_CHARS else text[: ERROR_CHARS - 1] + "\u2026"
