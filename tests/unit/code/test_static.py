"""What can be told of a job's code without importing it; where that is not sure, nothing is said."""

import hashlib
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from akjob.code import static
from akjob.code.arguments import Parameters, misfit
from akjob.spec.model import DillFile

SOURCE = """
import json, sys
from os.path import join as joined
from .parts import *
from .parts import deep as shallow
raise RuntimeError("importing this is an error of the checker")
def send(region, dry_run=False): ...
async def gather(a, /, b, *, c, d=1): ...
def anything(*args, **kwargs): ...
@decorated
def wrapped(): ...
add = lambda x, y: x + y
SETTINGS = {}
TEXT = "text"
made = build()
if sys.platform == "linux":
    def perhaps(): ...
else:
    perhaps = None
class Job:
    def __init__(self, region="emea"): ...
    def run(self, ownjob=None): ...
class Needs:
    def __init__(self, region): ...
    def run(self): ...
class Takes:
    def run(self, region, *, ownjob): ...
class Both:
    def __init__(self, a): ...
    def run(self, b): ...
class Plain:
    def go(self): ...
    @classmethod
    def make(cls, x): ...
    @staticmethod
    def help(x): ...
    @property
    def shown(self): ...
class Child(Plain): ...
def late():
    global born
    born = print
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a root with a package whose import would fail: nothing of it may be imported."""
    package = tmp_path / "reports"
    package.mkdir()
    (package / "__init__.py").write_text("from .sales import send as sent\nraise SystemExit\n")
    (package / "sales.py").write_text(SOURCE)
    (package / "parts.py").write_text("def starred(): ...\ndef deep(a): ...\n")
    (package / "broken.py").write_text("def (:\n")
    (package / "magic.py").write_text("import sys\nsys.modules[__name__] = object()\n")
    (package / "getattr.py").write_text("def __getattr__(name): ...\n")
    (package / "bare.py").write_text("def only(): ...\n")
    (tmp_path / "spread" / "inner").mkdir(parents=True)
    (tmp_path / "spread" / "inner" / "leaf.py").write_text("def go(): ...\n")
    return tmp_path


def said(root: Path, target: str, *args: Any, **kwargs: Any) -> str:
    """Return the finding's code, message and hint in one text, or nothing."""
    findings = static.check_callable(target, args, kwargs, static.search_path(str(root), str(root), ()))
    return " | ".join(f"{found.code}: {found.message} ({found.hint})" for found in findings)


@pytest.mark.parametrize(
    ("target", "args", "kwargs"),
    [
        ("reports.sales:send", ["emea"], {}),
        ("reports.sales.send", [], {"region": "emea", "dry_run": True}),
        ("reports.sent", ["emea"], {}),
        ("reports:sent", ["emea"], {}),
        ("reports.sales:shallow", [1], {}),
        ("reports.sales:starred", [], {}),
        ("reports.sales:gather", [1, 2], {"c": 3}),
        ("reports.sales:anything", [1, 2], {"z": 3}),
        ("reports.sales:wrapped", [1, 2, 3], {}),
        ("reports.sales:add", [1, 2], {}),
        ("reports.sales:made", [1], {}),
        ("reports.sales:made.any.thing", [], {}),
        ("reports.sales:perhaps", [1], {}),
        ("reports.sales:born", [1], {}),
        ("reports.sales:Job", [], {}),
        ("reports.sales:Job", ["emea"], {}),
        ("reports.sales:Needs", ["emea"], {}),
        ("reports.sales:Takes", ["emea"], {}),
        ("reports.sales:Takes", [], {"region": "emea", "ownjob": 1}),
        ("reports.sales:Plain.make", [1], {}),
        ("reports.sales:Plain.help", [1], {}),
        ("reports.sales:Plain.shown", [], {}),
        ("reports.sales:Plain.mro", [], {}),
        ("reports.sales:Child.anything", [], {}),
        ("reports.sales:Child", [1, 2, 3], {}),
        ("reports.sales:json.dumps", [1], {}),
        ("reports.sales:joined", ["a"], {}),
        ("reports.sales:__name__", [], {}),
        ("reports.magic:x", [], {}),
        ("reports.magic.sub:x", [], {}),
        ("reports.getattr:x", [], {}),
        ("spread.inner.leaf:go", [], {}),
        ("os.path:join", ["a"], {}),
        ("os.path.join", ["a"], {}),
        ("json:dumps", [1], {}),
        ("math:sqrt", [4], {}),
        ("builtins:print", [1], {}),
        ("sys:exit", [], {}),
        ("datetime.datetime.now", [], {}),
        ("reports:sales", [], {}),
    ],
)
def test_what_is_right_or_unsure_is_silent(root: Path, target: str, args: list[Any], kwargs: dict[str, Any]) -> None:
    """No alarm for what works, nor for what only running would tell."""
    assert said(root, target, *args, **kwargs) == ""


@pytest.mark.parametrize(
    ("target", "args", "kwargs", "expected"),
    [
        ("reprots.sales:send", [], {}, "callable-not-found: there is no module reprots; looked in {root}, "),
        ("reports.slaes:send", [], {}, "there is no module reports.slaes; looked in {root}/reports (did you mean repo"),
        ("reports.slaes.send", [], {}, "(did you mean reports.sales?)"),
        ("reports.bare:olny", [], {}, "module reports.bare ({root}/reports/bare.py) has no olny (did you mean only?)"),
        ("reports.bare.olny", [], {}, "module reports.bare ({root}/reports/bare.py) has no olny (did you mean only?)"),
        ("reports.bare.x:y", [], {}, "reports.bare.x cannot be there: reports.bare is a module and no package"),
        ("spread.inner.lead:go", [], {}, "did you mean spread.inner.leaf?"),
        ("reports.sales:Plain.went", [], {}, "class Plain ({root}/reports/sales.py:31) has no went"),
        ("reports.sales:SETTINGS", [], {}, "not-callable: reports.sales:SETTINGS is a dict, which cannot be called"),
        ("reports.sales:TEXT", [], {}, "is 'text', which cannot be called"),
        ("reports.broken:x", [], {}, "broken.py:1:5: invalid syntax (fix its syntax)"),
        (
            "reports.sales:send",
            [],
            {},
            "arguments: reports.sales:send needs the argument 'region' (it is defined as send(",
        ),
        ("reports.sales:send", [1, 2, 3], {}, "takes 2 positional arguments, 3 are given in args"),
        ("reports.sales:send", [1], {"region": 2}, "gets the argument 'region' twice: in args and in kwargs"),
        ("reports.sales:send", [1], {"dryrun": 2}, "takes no argument 'dryrun'"),
        ("reports.sales:gather", [1], {"a": 1, "b": 2, "c": 3}, "takes the argument 'a' by position only"),
        ("reports.sales:gather", [1], {}, "needs the arguments 'b', 'c'"),
        ("reports.sales:add", [1], {}, "needs the argument 'y'"),
        ("reports.sales:shallow", [], {}, "needs the argument 'a'"),
        ("reports.sales:Needs", [], {}, "needs the argument 'region'"),
        ("reports.sales:Job", [1, 2], {}, "takes no positional arguments, 2 are given"),
        ("reports.sales:Both", [1], {}, "arguments"),
        ("reports.sales:Plain", [1], {}, "takes no positional arguments, 1 are given"),
        ("reports.sales:Plain.make", [], {}, "needs the argument 'x'"),
    ],
)
def test_what_is_certainly_wrong_is_said(
    root: Path, target: str, args: list[Any], kwargs: dict[str, Any], expected: str
) -> None:
    """The finding says what is wrong, where it was looked for, and what was perhaps meant."""
    assert expected.format(root=root) in said(root, target, *args, **kwargs)


def test_nothing_is_imported(root: Path) -> None:
    """Checking leaves no module of the users' behind."""
    before = set(sys.modules)
    said(root, "reports.sales:send")
    said(root, "spread.inner.leaf:go")
    assert not {name for name in set(sys.modules) - before if name.startswith(("reports", "spread"))}


def test_edited_module_is_read_again(root: Path) -> None:
    """A second look after an edit sees the edit, also one of the same size."""
    assert "has no late" in said(root, "reports.bare:late")
    (root / "reports" / "bare.py").write_text("def late(): ...\n")
    assert said(root, "reports.bare:late") == ""


def test_remembering_looks_once(root: Path) -> None:
    """While a folder is validated each module is looked at once, found or not; afterwards it is looked at again."""
    with static.remembering():
        assert "has no late" in said(root, "reports.bare:late")
        assert "there is no module reports.new" in said(root, "reports.new:x")
        (root / "reports" / "bare.py").write_text("def late(): ...\n")
        (root / "reports" / "new.py").write_text("def x(): ...\n")
        assert "has no late" in said(root, "reports.bare:late")
        assert "there is no module reports.new" in said(root, "reports.new:x")
    assert said(root, "reports.bare:late") == ""


def test_position_of_the_finding(root: Path) -> None:
    """The key leads to what is to be changed: the one keyword argument, the args, or the callable."""
    path = static.search_path(str(root), str(root), ())

    def key(*args: Any, **kwargs: Any) -> static.Key:
        return static.check_callable("reports.sales:send", args, kwargs, path)[0].key

    assert key(1, nope=2) == ("kwargs", "nope")
    assert key(1, 2, 3) == ("args",)
    assert key(dry_run=1) == ("kwargs",)
    assert key() == ("callable",)


def test_by_hand_nothing_is_missing(root: Path) -> None:
    """A job without a trigger gets its arguments when it is run: missing ones are not reported, wrong ones are."""
    path = static.search_path(str(root), str(root), ())
    assert static.check_callable("reports.sales:send", (), {}, path, more_arguments=True) == []
    assert static.check_callable("reports.sales:send", (), {"x": 1}, path, more_arguments=True) != []


PARAMETERS = st.lists(st.sampled_from("abcde"), unique=True, max_size=5)


@given(PARAMETERS, st.integers(0, 5), st.integers(0, 5), st.integers(0, 3), st.booleans(), st.booleans(), st.data())
def test_misfit_is_pythons_own_verdict(  # noqa: PLR0913, PLR0917
    names: list[str], positional: int, only: int, defaults: int, star: bool, stars: bool, data: st.DataObject
) -> None:
    """Whether arguments fit is what calling such a function says."""
    ordered, keyword = names[:positional], names[positional:]
    only = min(only, len(ordered))
    with_default = ordered[max(0, len(ordered) - defaults) :]
    texts = [name + ("=1" if name in with_default else "") for name in ordered]
    texts[only:only] = ["/"] if only else []
    texts += ["*more"] if star else ["*"] if keyword else []
    texts += [*keyword, *(["**rest"] if stars else [])]
    scope: dict[str, Any] = {}
    exec(f"def f({', '.join(texts)}): ...", scope)  # noqa: S102
    import ast  # noqa: PLC0415

    node = ast.parse(f"def f({', '.join(texts)}): ...").body[0]
    assert isinstance(node, ast.FunctionDef)
    count = data.draw(st.integers(0, 6))
    given_names = data.draw(st.lists(st.sampled_from("abcdez"), unique=True, max_size=4))
    try:
        scope["f"](*range(count), **dict.fromkeys(given_names))
        fits = True
    except TypeError:
        fits = False
    assert (misfit(Parameters.of(node.args), count, given_names, more=False) is None) == fits


def codes(folder: Path, content: bytes, record: str | None = None, **spec: str) -> list[tuple[str, str]]:
    """Return code and severity of each finding for a dill file with this content."""
    (folder / "send.dill").write_bytes(content)
    if record is not None:
        (folder / "send.dill.json").write_text(record)
    digest = hashlib.sha256(content).hexdigest()
    dill = DillFile("send.dill", spec.get("sha256", digest), spec.get("python", static.HERE))
    return [(found.code, found.severity) for found in static.check_dill(str(folder), dill, static.HERE)]


def test_dill_file_that_matches_is_silent(tmp_path: Path) -> None:
    """The hash, the Python and the record all fit: nothing to say."""
    content = pickle.dumps(len)
    assert codes(tmp_path, content, f'{{"sha256": "{hashlib.sha256(content).hexdigest()}"}}') == []


@pytest.mark.parametrize(
    ("record", "spec", "expected"),
    [
        (None, {}, [("dill-record", "info")]),
        ("{", {}, [("dill-record", "warning")]),
        ('{"sha256": "x"}', {}, [("dill-record", "warning")]),
        (None, {"sha256": "0" * 64}, [("dill-changed", "error"), ("dill-record", "info")]),
        (None, {"python": "3.9"}, [("dill-python", "error"), ("dill-record", "info")]),
    ],
)
def test_dill_file_that_does_not_match(
    tmp_path: Path, record: str | None, spec: dict[str, str], expected: list[tuple[str, str]]
) -> None:
    """Each thing that does not fit is a finding of its own."""
    assert codes(tmp_path, pickle.dumps(len), record, **spec) == expected


def test_missing_dill_file(tmp_path: Path) -> None:
    """A file that is not there is one finding, with the command that makes it."""
    (found,) = static.check_dill(str(tmp_path), DillFile("x.dill", "0", "3.11"), None)
    assert (found.code, found.key) == ("dill-missing", ("dill", "file"))
    assert "akjob pack TARGET -o" in found.hint


def test_malicious_pickle_is_described_and_not_run(tmp_path: Path) -> None:
    """A pickle that would call os.system is an error that names the call; nothing is executed."""
    evil = b"cposix\nsystem\n(S'touch " + str(tmp_path / "owned").encode() + b"'\ntR."
    assert codes(tmp_path, evil) == [("dill-record", "info"), ("dill-dangerous", "error")]
    assert not (tmp_path / "owned").exists()
    dill = DillFile("send.dill", "", static.HERE)
    messages = [found.message for found in static.check_dill(str(tmp_path), dill, static.HERE)]
    assert any(f"calls os.system('touch {tmp_path}/owned')" in message for message in messages)


def test_checking_needs_no_heavy_module() -> None:
    """``validate`` loads this module: it brings in no dill, asyncio, inspect, structlog."""
    script = "import sys, akjob.code.static; print({'dill','asyncio','structlog','watchdog','rich'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
