"""Return whether a job's callable is there and takes its arguments, and whether its dill file is the one it names.

Nothing of the users' code is imported. Where only running it would tell, there is no finding: a false alarm costs more
than a miss, for the run says what is wrong anyway.
"""

import ast
import json
import os
import sys
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from msgspec import Struct

from akjob.code.arguments import Parameters, misfit
from akjob.code.names import (
    FoundName,
    ModuleMissingError,
    NameMissingError,
    UndecidedError,
    bound,
    find,
    find_module,
    imports_module,
    may_move_path,
    plain,
    remembering,
)
from akjob.code.pickles import examine_bytes
from akjob.config import Config
from akjob.errors import Severity
from akjob.spec import JobSpec, Rest
from akjob.spec.model import DillFile, DottedCallable

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
EXAMINED = 64 * 1024 * 1024
__all__ = ["Finding", "check", "check_callable", "check_dill", "remembering", "search_path"]

Key = tuple[str | int, ...]


class Finding(Struct, frozen=True):
    """What is wrong with a job's code: ``key`` is the key path in the job file; the rest is as in a Problem."""

    key: Key
    severity: Severity
    code: str
    message: str
    hint: str = ""


def check(job: Rest, *, root: Path, config: Config) -> list[Finding]:
    """Return what is wrong with the code of a job whose root is ``root``. Reads files, imports and runs nothing.

    With ``interpreter`` set, the path and the Python of the run are not known here: what depends on them is not judged.
    Nor is what depends on keys of which nothing is known, for they are wrong.
    """
    spec = job.spec
    here = spec.run.interpreter is None and job.knows("run", "interpreter")
    sure = here and all(job.knows("run", key) for key in ("cwd", "env", "env_file", "setup"))
    cwd = os.path.join(root, spec.run.cwd) if spec.run.cwd else str(root)
    path = search_path(str(root), cwd, config.pythonpath)
    findings: list[Finding] = []
    if sure and "PYTHONPATH" not in spec.run.env and not spec.run.env_files:
        moved = ""
        for index, target in enumerate(spec.run.setup):
            findings += check_callable(target, (), {}, path, key=("run", "setup", index), moved=moved)
            moved = moved or (target if may_move_path(target, path) else "")
        if isinstance(spec.code, DottedCallable):
            by_hand = not _has_trigger(spec)
            given = spec.code.target, spec.args, spec.kwargs
            findings += check_callable(*given, path, more_arguments=by_hand, moved=moved)
    if isinstance(spec.code, DillFile):
        findings += check_dill(os.path.join(root, os.path.dirname(spec.file)), spec.code, HERE if here else None)
    if not (job.knows("args") and job.knows("kwargs")):
        findings = [one for one in findings if one.code != "arguments"]
    return findings


def _has_trigger(spec: JobSpec) -> bool:
    plan = spec.schedule
    timed = (plan.at, plan.every, plan.again_after_us, plan.daily, plan.weekly, plan.monthly, plan.cron)
    return any(timed) or bool(plan.events)


def search_path(root: str, cwd: str, pythonpath: Sequence[str]) -> list[str]:
    """Return where a run of this Python looks: the root, ``cwd``, ``pythonpath``, then Python's own path."""
    own = [root, cwd, *(os.path.join(root, entry) for entry in pythonpath)]
    # The first entry is the folder of the command that asks, of which a run knows nothing.
    python = sys.path if sys.flags.safe_path else sys.path[1:]
    return list(dict.fromkeys([*own, *(entry for entry in python if entry)]))


def check_callable(  # noqa: PLR0913 - two of them have defaults that nearly always do
    target: str,
    args: Sequence[object],
    kwargs: Mapping[str, object],
    path: Sequence[str],
    *,
    key: Key = ("callable",),
    more_arguments: bool = False,
    moved: str = "",
) -> list[Finding]:
    """Return what is certainly wrong with a dotted callable and its arguments: at most one finding.

    ``more_arguments``: a run by hand may bring keyword arguments of its own, so none is missing. ``moved``: a
    target that is called before and may change the path, so that no module is certainly missing.
    """
    try:
        found = find(target, path)
        wrong = _judge(found, args, kwargs, more_arguments)
    except ModuleMissingError as missing:
        if not moved:
            return [Finding(key, "error", "callable-not-found", missing.message, missing.hint)]
        hint = f"{moved} is called before and may change where modules are looked for: only a run can tell"
        return [Finding(key, "info", "callable-not-found", missing.message, hint)]
    except NameMissingError as missing:
        return [Finding(key, "error", "callable-not-found", missing.message, missing.hint)]
    except (UndecidedError, RecursionError):
        return [_module_finding(target, key)] if _is_module(target, path) else []
    if wrong is None:
        return []
    code, what, name = wrong
    where: Key = key
    if code == "arguments" and key == ("callable",):
        where = ("kwargs", name) if name in kwargs else ("args",) if args else ("kwargs",) if kwargs else key
    return [Finding(where, "error", code, f"{target} {what}", found.signature())]


def _is_module(target: str, path: Sequence[str]) -> bool:
    """Return True if a target is a module: one of a package that says nothing of that name, or one that is imported."""
    package, colon, name = target.partition(":")
    if not colon:
        package, _, name = target.rpartition(".")
    if not package or "." in name:
        return False
    try:
        if imports_module(find_module(package, path), name):
            return True
        if find_module(f"{package}.{name}", path).file is None:
            return False
        above = find_module(package, path).file
        return above is None or name not in Path(above).read_text(encoding="utf-8", errors="replace")
    except (NameMissingError, UndecidedError, OSError):
        return False


def _module_finding(target: str, key: Key) -> Finding:
    message, meant = f"{target} is a module, which cannot be called", target.replace(":", ".")
    return Finding(key, "error", "not-callable", message, f'write "{meant}:NAME", the name of what to call in it')


# Whether it can be called so


def _judge(
    found: FoundName, args: Sequence[object], kwargs: Mapping[str, object], more: bool
) -> tuple[str, str, str] | None:
    """Return (code, what is wrong, the argument meant) or None. Raises UndecidedError."""
    node = found.node
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return _as_problem(misfit(_parameters(found), len(args), list(kwargs), more=more))
    if isinstance(node, ast.Lambda):
        return _as_problem(misfit(Parameters.of(node.args), len(args), list(kwargs), more=more))
    if isinstance(node, ast.ClassDef):
        return _judge_class(found, args, kwargs, more)
    kinds = {ast.Dict: "a dict", ast.List: "a list", ast.Tuple: "a tuple", ast.Set: "a set", ast.JoinedStr: "a string"}
    if isinstance(node, ast.Constant):
        return "not-callable", f"is {node.value!r}, which cannot be called", ""
    if type(node) in kinds:
        return "not-callable", f"is {kinds[type(node)]}, which cannot be called", ""
    raise UndecidedError


def _as_problem(wrong: tuple[str, str] | None) -> tuple[str, str, str] | None:
    return None if wrong is None else ("arguments", wrong[0], wrong[1])


def _parameters(found: FoundName) -> Parameters:
    """Return the parameters as the caller sees them. Raises UndecidedError behind a decorator that is not known."""
    node = found.node
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        raise UndecidedError
    names = [decorator.id if isinstance(decorator, ast.Name) else "?" for decorator in node.decorator_list]
    parameters = Parameters.of(node.args)
    if found.owner is None:
        if names:
            raise UndecidedError
        return parameters
    if names == ["classmethod"]:
        return parameters.bound()
    if names not in ([], ["staticmethod"]):
        raise UndecidedError
    return parameters


def _judge_class(
    found: FoundName, args: Sequence[object], kwargs: Mapping[str, object], more: bool
) -> tuple[str, str, str] | None:
    cls = found.node
    if not isinstance(cls, ast.ClassDef) or not plain(cls):
        raise UndecidedError
    members = dict(bound(cls.body))
    if "__new__" in members or "__getattr__" in members:
        raise UndecidedError
    init = _method(members, "__init__") or Parameters()
    run = _method(members, "run")
    count, names = len(args), list(kwargs)
    if run is None:
        return _as_problem(misfit(init, count, names, more=more))
    run = run.without("ownjob") if "ownjob" not in kwargs else run
    to_run = misfit(init, 0, [], more=False) or misfit(run, count, names, more=more)
    if to_run is None:
        return None
    to_class = misfit(init, count, names, more=more) or misfit(run, 0, [], more=False)
    if to_class is None:
        return None
    wrong = misfit(run, count, names, more=more) or misfit(init, count, names, more=more) or to_run
    return _as_problem(wrong)


def _method(members: Mapping[str, ast.AST | None], name: str) -> Parameters | None:
    """Return a method's parameters without ``self``, or None when the class has no such method."""
    if name not in members:
        return None
    node = members[name]
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or node.decorator_list:
        raise UndecidedError
    return Parameters.of(node.args).bound()


# Dill files


def check_dill(folder: str, dill: DillFile, python: str | None) -> list[Finding]:
    """Return what is wrong with a dill file next to its job file; ``python`` is the run's, or None when not known."""
    path = os.path.join(folder, dill.file)
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        hint = "pack it: akjob pack TARGET -o " + path
        return [Finding(("dill", "file"), "error", "dill-missing", f"{path} cannot be read: {error.strerror}", hint)]
    findings = []
    digest = sha256(content).hexdigest()
    if digest != dill.sha256.lower():
        message = f"{dill.file} has the SHA-256 {digest}, not the {dill.sha256} that is written here"
        hint = f"look into it with akjob inspect {path}; if it is what you want, write that hash here"
        findings.append(Finding(("dill", "sha256"), "error", "dill-changed", message, hint))
    if python is not None and dill.python.split(".")[:2] != python.split("."):
        message = f"{dill.file} was packed by Python {dill.python}, runs have Python {python}: they would refuse it"
        hint = f"make it again with Python {python}: akjob pack --rebuild {path}"
        findings.append(Finding(("dill", "python"), "error", "dill-python", message, hint))
    return [*findings, *_record(path, dill, digest), *_contents(dill, content)]


def _record(path: str, dill: DillFile, digest: str) -> list[Finding]:
    key = ("dill", "file")
    try:
        record = json.loads(Path(path + ".json").read_bytes())
        named = record["sha256"]
    except OSError:
        message = f"{dill.file} has no record, so its source cannot be reviewed"
        return [Finding(key, "info", "dill-record", message, "`akjob pack` writes one next to the file")]
    except (ValueError, KeyError, TypeError):
        return [Finding(key, "warning", "dill-record", f"the record {dill.file}.json cannot be read", "pack it again")]
    if named == digest:
        return []
    message = f"the record {dill.file}.json is of another file: it says {named}, the file has {digest}"
    return [Finding(key, "warning", "dill-record", message, f"make both again: akjob pack --rebuild {path}")]


def _contents(dill: DillFile, content: bytes) -> list[Finding]:
    if len(content) > EXAMINED:
        return []
    report = examine_bytes(content, dill.python)
    key = ("dill", "file")
    findings = []
    for call in report["calls"]:
        severity: Severity = "error" if call["verdict"] == "dangerous" else "info"
        message = f"loading {dill.file} {call['what']}({call['arguments']})"
        hint = "do not run it unless you know why it does that"
        findings.append(Finding(key, severity, "dill-" + call["verdict"], message, hint))
    if report["error"]:
        findings.append(
            Finding(key, "error", "dill-broken", f"{dill.file} is not a dill file: {report['error']}", "pack it")
        )
    return findings
