"""What a job file names is found, called and, where it cannot be, explained."""

import hashlib
import json
import math
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest

from akjob.code import load
from tests.unit.code.bare import bare

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"

SALES = """
import json
def send(region, dry_run=False):
    return [region, dry_run]
async def gather(x):
    return x * 2
class Plain:
    def __init__(self, region="none"):
        self.region = region
    def run(self):
        return "made for " + self.region
class Taker:
    def run(self, region, *, loud=False):
        return "told " + region + "!" * loud
class Owned:
    def run(self, ownjob):
        return ownjob
class Method:
    def start(self):
        return "went"
    @classmethod
    def make(cls):
        return cls.__name__
async_object = type("A", (), {"run": gather})
ready = Taker()
SETTINGS = {}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a root with a package ``reports`` that has a module ``sales``."""
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "__init__.py").write_text("from .send import send\n")
    (tmp_path / "reports" / "send.py").write_text("def send():\n    return 'sent'\n")
    (tmp_path / "reports" / "sales.py").write_text(SALES)
    (tmp_path / "reports" / "broken.py").write_text("1 / 0\n")
    (tmp_path / "reports" / "needy.py").write_text("import not_there.at_all\n")
    (tmp_path / "reports" / "leaves.py").write_text("raise SystemExit(7)\n")
    return tmp_path


def called(root: Path, *calls: tuple[str, list[Any], dict[str, Any]]) -> list[Any]:
    """Return for each (target, args, kwargs) what the call returns, or the reason why there is none."""
    return list(bare(root, f"say([reason(lambda c=c: load.load_callable(*c)()) for c in {list(calls)!r}])"))


def test_both_ways_of_writing_a_target(root: Path) -> None:
    """``pkg.module:name`` and ``pkg.module.name`` name the same, with any depth of attributes."""
    got = called(
        root,
        ("reports.sales:send", ["emea"], {"dry_run": True}),
        ("reports.sales.send", ["emea"], {}),
        ("reports.sales:Method.make", [], {}),
        ("reports.sales.Method.make", [], {}),
        ("os.path.join", ["a", "b"], {}),
        ("builtins:len", [[1, 2]], {}),
    )
    assert got == [["emea", True], ["emea", False], "Method", "Method", "a/b", 2]


def test_a_function_with_its_modules_name(root: Path) -> None:
    """A package may hold a function of the same name as the module it comes from: both can be named."""
    assert called(root, ("reports.send", [], {}), ("reports.send.send", [], {})) == ["sent", "sent"]


def test_run_method_is_called(root: Path) -> None:
    """Classes are made; arguments go to ``run`` where it takes them, else to the class; objects stay as they are."""
    got = called(
        root,
        ("reports.sales:Plain", [], {}),
        ("reports.sales:Plain", ["emea"], {}),
        ("reports.sales:Taker", ["emea"], {"loud": True}),
        ("reports.sales:ready", ["apac"], {}),
        ("reports.sales:Owned", [], {"ownjob": "given"}),
    )
    assert got == ["made for none", "made for emea", "told emea!", "told apac", "given"]


def test_ownjob_is_given_only_where_it_is_named(root: Path) -> None:
    """``ownjob=`` is made and passed to a ``run`` whose signature has it, and to no other."""
    script = """
load.own_job = lambda code: "the job"
class Odd:
    def run(self, **kwargs):
        return kwargs
class Wrapped:
    def run(self, *a, **k):
        return k["ownjob"]
    def inner(self, *, ownjob=None): ...
    run.__wrapped__ = inner
import functools
partial = type("P", (), {"run": functools.partial(lambda ownjob: ownjob)})
say([load._as_call(v, "v", (), {})() for v in (load.load_callable("reports.sales:Owned"), Odd(), Wrapped, partial())])
"""
    assert bare(root, script) == ["the job", {}, "the job", "the job"]


def test_ownjob_without_akjob_says_so(root: Path) -> None:
    """In a Python without akjob a ``run`` that asks for ownjob fails with the reason, not with a traceback."""
    script = 'load.OWN_JOB = "no_akjob.models:own_job"; say(reason(load.load_callable("reports.sales:Owned")))'
    reason = bare(root, script)
    assert reason.startswith("run() asks for ownjob, which needs akjob in the Python of the run (")


def test_coroutines_are_run(root: Path) -> None:
    """``async def`` is run to its end, as a function and as ``run``."""
    assert called(root, ("reports.sales:gather", [4], {})) == [8]


def test_asyncio_costs_only_those_who_use_it(root: Path) -> None:
    """A plain call brings in nothing heavy: no asyncio, inspect, json, re, typing."""
    script = """
load.result_json(load.load_callable("reports.send:send")())
say(sorted({"asyncio", "inspect", "json", "re", "typing", "difflib", "hashlib", "importlib"} & set(sys.modules)))
"""
    assert bare(root, script) == []


def test_root_comes_first(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Code is looked for in the root, then in cwd, then in pythonpath, then where Python looks by itself."""
    cwd = tmp_path_factory.mktemp("cwd")
    env = tmp_path_factory.mktemp("env")
    script = "say([p for p in sys.path])"
    path = bare(root, script, cwd=cwd, pythonpath=["lib", "/opt/x"], env={"PYTHONPATH": str(env)})
    assert path[:5] == [str(root), str(cwd), str(root / "lib"), "/opt/x", str(env)]
    assert any(entry.endswith("site-packages") for entry in path[5:]) == any("site-packages" in p for p in sys.path)
    assert len(path) == len(set(path))


NOT_FOUND = [
    ("reprots.sales:send", "there is no module 'reprots' (did you mean 'reports'?); looked in {root}, "),
    ("reports.slaes:send", "there is no module 'reports.slaes' (did you mean 'sales'?); looked in {root}/reports"),
    (
        "reports.sales.x:send",
        "there is no module 'reports.sales.x', for 'reports.sales' is a module, not a package",
    ),
    ("reports.sales:sned", "module reports.sales ({root}/reports/sales.py) has no 'sned' (did you mean 'send'?)"),
    ("reports.slaes.send", "module reports ({root}/reports/__init__.py) has no 'slaes' (did you mean 'sales'?)"),
    ("reports.sales.sned", "module reports.sales ({root}/reports/sales.py) has no 'sned' (did you mean 'send'?)"),
    ("reports.sales:Method.strat", "reports.sales.Method has no 'strat' (did you mean 'start'?)"),
    ("reports.sales:SETTINGS", "is of type dict, which cannot be called and has no run method"),
    ("reports:sales", "is a module, and a module cannot be called"),
    ("reports.broken:x", "importing reports.broken failed: ZeroDivisionError: division by zero"),
    (
        "reports.needy:x",
        "importing reports.needy failed: it needs the module 'not_there', which is not there; looked",
    ),
    ("print", "'print' names no module: write module:name, a builtin as builtins:print"),
]


def test_what_cannot_be_found_is_explained(root: Path) -> None:
    """The reason names what is missing, where it was looked for, and what was perhaps meant."""
    reasons = called(root, *((target, [], {}) for target, _ in NOT_FOUND))
    for (target, expected), reason in zip(NOT_FOUND, reasons, strict=True):
        assert expected.format(root=root) in reason, target


def test_system_exit_at_import_is_the_scripts(root: Path) -> None:
    """A module that calls sys.exit ends the run as a script would."""
    script = """
try:
    load.load_callable("reports.leaves:x")
except SystemExit as exit:
    say(exit.code)
"""
    assert bare(root, script) == 7


def dill_call(folder: Path, content: bytes, **given: Any) -> Any:
    """Load a dill file with this content in a bare process; return what the call returns, or the reason why not."""
    path = folder / "send.dill"
    path.write_bytes(content)
    order = {"sha256": hashlib.sha256(content).hexdigest(), "python": HERE, "args": [], "kwargs": {}} | given
    return bare(folder, f"say(reason(lambda: load.load_dill({str(path)!r}, **{order!r})()))")


def test_dill_file_is_called(tmp_path: Path) -> None:
    """A pickle whose hash and Python fit is loaded and called, without dill where it is not needed."""
    assert dill_call(tmp_path, pickle.dumps(len), args=["four"]) == 4


def test_dill_of_another_python_is_refused_before_loading(tmp_path: Path) -> None:
    """The file is not even opened when its Python is another minor version: the text says how to rebuild it."""
    reason = dill_call(tmp_path, b"\x80garbage", python="3.9")
    assert reason.startswith(f"send.dill was packed by Python 3.9 and this is Python {HERE}, which would crash")
    assert f"`akjob pack --rebuild {tmp_path}/send.dill`" in reason


def test_changed_dill_is_not_loaded(tmp_path: Path) -> None:
    """One changed byte: both hashes are named, nothing is executed."""
    evil = b"cos\nsystem\n(S'touch " + str(tmp_path / "owned").encode() + b"'\ntR."
    reason = dill_call(tmp_path, evil, sha256="0" * 64)
    assert hashlib.sha256(evil).hexdigest() in reason
    assert "0" * 64 in reason
    assert "it was not loaded" in reason
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "send.dill cannot be loaded: EOFError"),
        (b"cnot_there\nx\n.", "send.dill cannot be loaded: it needs not_there, which cannot be imported here"),
        (pickle.dumps({}), "send.dill is of type dict, which cannot be called and has no run method"),
        (pickle.dumps(None), "send.dill is None, which cannot be called"),
    ],
)
def test_unusable_dill_is_explained(tmp_path: Path, content: bytes, expected: str) -> None:
    """A reviewed file that cannot be used fails with a reason."""
    assert expected in dill_call(tmp_path, content)


def test_missing_dill_is_explained(tmp_path: Path) -> None:
    """A file that is not there is named."""
    with pytest.raises(load.CodeError, match=r"the dill file .*/x\.dill cannot be read: No such file"):
        load.load_dill(str(tmp_path / "x.dill"), "", HERE)


class Unprintable:
    """An object of a job whose own text fails."""

    def __repr__(self) -> str:
        raise ValueError


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (3, 3),
        ("ä", "ä"),
        ({"a": [1, 2.5, True]}, {"a": [1, 2.5, True]}),
        (Path("/x"), "/x"),
        (math.nan, "nan"),
        ({1, 2}, "{1, 2}"),
        ({(1, 2): 3}, "{(1, 2): 3}"),
        (Unprintable(), "<Unprintable>"),
        ([Unprintable()], "<list>"),
    ],
)
def test_result_is_json(value: object, expected: object) -> None:
    """What JSON knows stays as it is, anything else is its text."""
    assert json.loads(load.result_json(value)) == expected


def test_circles_end() -> None:
    """A value that holds itself is shown, not followed."""
    circle: list[object] = []
    circle.append(circle)
    assert json.loads(load.result_json(circle)) == "[[...]]"


@pytest.mark.parametrize("char", ["x", "ä", "\N{GRINNING FACE}", "\x00", '"', "\ud800"])
@pytest.mark.parametrize("count", [300, 1000, 4093, 4094, 4095, 4096, 10_000])
def test_result_is_short(char: str, count: int) -> None:
    """However long the value, the text is JSON of at most 4 KiB, and shows as much as fits."""
    text = load.result_json(char * count)
    assert len(text.encode()) <= 4096
    whole = json.dumps(char * count)
    if len(whole) <= 4096:
        assert text == whole
    else:
        assert json.loads(text).endswith("…")
        assert len(text) > 3500


def test_exceptions_are_one_line_of_type_and_message() -> None:
    """The text is a traceback's last line, with the module where it is not builtin, cut where it is long."""

    class OddError(Exception):
        def __str__(self) -> str:
            raise ValueError

    assert load.describe_exception(ValueError("x")) == "ValueError: x"
    assert load.describe_exception(load.CodeError("it is not there")) == "it is not there"
    assert load.describe_exception(KeyboardInterrupt()) == "KeyboardInterrupt"
    assert load.describe_exception(json.JSONDecodeError("m", "d", 0)).startswith("json.decoder.JSONDecodeError: m")
    assert load.describe_exception(OddError()).endswith("OddError: <its message cannot be shown: str() of it failed>")
    assert len(load.describe_exception(ValueError("x" * 100_000))) == 4000


TARGETS = ["reports.sales:send", "reports.broken:main", "reports.sales.send", "nowhere:main", ""]


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_touched_is_not_executed(root: Path, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    """The way to the code is warm, and nothing has happened: no module, no listing of a folder, no error."""
    monkeypatch.setattr(sys, "path", [str(root), *sys.path])
    modules, listings = set(sys.modules), set(sys.path_importer_cache)
    load.touch(target)
    assert (set(sys.modules), set(sys.path_importer_cache)) == (modules, listings)


def test_what_is_written_after_the_touch_is_imported(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that was not there when its folder was looked at is found at the slot."""
    monkeypatch.setattr(sys, "path", [str(root), *sys.path])
    load.touch("later_module:main")
    (root / "later_module.py").write_text("def main():\n    return 'new'\n")
    monkeypatch.delitem(sys.modules, "later_module", raising=False)
    assert load.load_callable("later_module:main")() == "new"
    monkeypatch.delitem(sys.modules, "later_module")
