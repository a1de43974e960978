"""What is inside a dill file is told without running it: what loading would import, call and build."""

import functools
import io
import logging
import operator
import os
import pickle
import re
import threading
from array import array
from collections import OrderedDict, defaultdict, namedtuple
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from ipaddress import ip_address
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from akjob.code.calls import JobCallable
from akjob.code.dump import dumps
from akjob.code.examine import examine
from akjob.code.pickles import examine_bytes


class Evil:
    """An object whose loading calls what it was given."""

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self.function = function
        self.args = args

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.function, self.args


def verdicts(content: bytes) -> set[str]:
    """Return the verdicts of all calls that loading would make."""
    return {call["verdict"] for call in examine(content)["calls"]}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "evil",
    [
        Evil(os.system, "true"),
        Evil(eval, "1"),
        Evil(exec, "1"),
        Evil(__import__, "os"),
        Evil(open, "/etc/passwd"),
        Evil(io.open, "/etc/passwd"),
        Evil(pickle.loads, b""),
    ],
    ids=lambda evil: str(evil.function.__name__),
)
def test_calls_are_described(protocol: int, evil: Evil) -> None:
    """In every protocol, hidden in containers too, a dangerous call is found and named."""
    report = examine(pickle.dumps([1, {"a": (evil,)}], protocol))
    assert [call["verdict"] for call in report["calls"]] == ["dangerous"]
    assert report["calls"][0]["what"].startswith("calls ")
    assert report["error"] == ""


def test_detours_are_followed() -> None:
    """``getattr`` on a module, and calls of what a call returned, do not hide what is called."""
    hidden = b"cbuiltins\ngetattr\n(cdill._dill\n_import_module\n(S'os'\ntRS'system'\ntR(S'true'\ntR."
    assert [call["what"] for call in examine(hidden)["calls"]] == ["calls os.system"]
    partial = b"cfunctools\npartial\n(cos\nsystem\nS'true'\ntR(tR."
    assert verdicts(partial) == {"dangerous"}
    assert verdicts(b"(S'true'\nios\nsystem\n.") == {"dangerous"}
    assert verdicts(b"(cos\nsystem\nS'true'\no.") == {"dangerous"}
    assert verdicts(b"cos\nenviron\n(S'A'\nS'B'\nu.") == {"dangerous"}
    assert verdicts(b"cbuiltins\nprint\n(S'a'\nS'b'\ndb.") == {"dangerous"}
    assert verdicts(b"cbuiltins\nsetattr\n(cos\npath\nS'join'\nNtR.") == {"dangerous"}


def test_packed_function_called_while_loading_is_dangerous() -> None:
    """A function in the file that the file calls itself is worse than any name."""
    content = dumps(lambda: os.getpid())  # noqa: PLW0108 - a function of this module, packed whole
    called = content[:-1] + b")R."
    assert [call["what"] for call in examine(called)["calls"]] == ["calls a function packed in this file"]
    assert verdicts(called) == {"dangerous"}


class Sneaky:
    """A class that runs its own code when an object of it is loaded."""

    def __setstate__(self, state: object) -> None:
        """Do something."""


class Plain:
    """A class as most are."""

    limits = frozenset({"a", "b"})

    def __init__(self) -> None:
        self.n = 1

    def run(self) -> int:
        """Return a number."""
        import json  # noqa: PLC0415

        return len(json.dumps(self.n)) + len("a text")


def test_what_akjob_packs_only_builds() -> None:
    """Functions, classes, objects, partials and plain values that were packed whole give no finding."""
    here = frozenset((__name__,))
    for value in (
        Plain,
        Plain(),
        lambda x: [x, Path(".")],
        functools.partial(print, "x"),
        JobCallable(print, "Hello", key=operator.itemgetter(1)),
        {"a": [1, 2.5, None, True, b"x", (1,), {2}, frozenset({3}), 1j]},
    ):
        report = examine(dumps(value, here))
        assert report["calls"] == [], value
        assert report["error"] == ""


def closure(n: int) -> Callable[[], int]:
    """Return a function with a cell."""
    return lambda: n + 1


def recursive() -> Callable[[int], int]:
    """Return a function whose cell holds itself."""

    def fall(n: int) -> int:
        return n and fall(n - 1)

    return fall


Pair = namedtuple("Pair", "a b")  # noqa: PYI024 - packed whole, as a script's own is


@pytest.mark.parametrize(
    "value",
    [
        closure(3),
        closure(4),
        recursive(),
        functools.lru_cache(closure(5)),
        Pair(1, 2),
        range(3),
        range(9, -9, -3),
        ...,
        NotImplemented,
        threading.Lock(),
        threading.RLock(),
        datetime(2026, 1, 1, tzinfo=ZoneInfo("Europe/Berlin")),
        Decimal("1.5"),
        OrderedDict(a=1),
        defaultdict(list),
        re.compile("a"),
        io.StringIO("a"),
        array("i", [1]),
        ip_address("192.0.2.1"),
        logging.getLogger("x"),
        SimpleNamespace(a=1),
        list[int],
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_people_pack_only_builds(value: object) -> None:
    """Closures and the usual values of the standard library, by themselves and within a closure."""
    for packed in (value, lambda: value):
        report = examine(dumps(packed, frozenset((__name__,))))
        assert (report["calls"], report["error"]) == ([], "")


def test_what_builds_can_be_abused_and_is_seen() -> None:
    """An attribute of what is imported, and any other text that is evaluated."""
    assert verdicts(b"cdill._dill\n_setattr\n(cos\npath\nS'join'\nNtR.") == {"dangerous"}
    for text in (b"__import__('os')", b"range(0, 3) or 1", b"Ellipsis\\n1"):
        assert verdicts(b"cdill._dill\n_eval_repr\n(S" + repr(text.decode()).encode() + b"\ntR.") == {"dangerous"}, text


def test_class_that_runs_code_at_load_is_pointed_out() -> None:
    """``__setstate__`` and its like of a packed class are worth a look."""
    (call,) = examine(dumps(Sneaky(), frozenset((__name__,))))["calls"]
    assert call["verdict"] == "unknown"
    assert "__setstate__ of a class packed in this file" in call["what"]


def test_code_is_listed() -> None:
    """Each function has its name, parameters, imports, names and texts."""
    report = examine(dumps(Plain(), frozenset((__name__,))))
    assert report["gives"] == "an object of the class Plain, whole"
    codes = {code["name"]: code for code in report["code"]}
    assert codes["Plain.run"]["parameters"] == ["self"]
    assert codes["Plain.run"]["imports"] == ["json"]
    assert "dumps" in codes["Plain.run"]["names"]
    assert "a text" in codes["Plain.run"]["strings"]
    assert "json" in report["modules"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (len, "builtins.len, by its name"),
        (JobCallable(print), "an object of akjob.code.calls.JobCallable"),
        (lambda: 1, "the function <lambda>, whole"),
        ([1], "a value of type list"),
    ],
)
def test_what_it_gives(value: object, expected: str) -> None:
    """The first line says in words what loading would give."""
    assert examine(dumps(value))["gives"] == expected


@pytest.mark.parametrize("content", [b"", b"\x80", b"not a pickle", b".", b"h\x05.", b"R.", b"(((", b"\x80\x04K\x01"])
def test_what_is_no_pickle_is_said(content: bytes) -> None:
    """A damaged file ends with an error, not with a traceback."""
    assert examine(content)["error"] != ""


@given(st.binary(max_size=200))
def test_no_bytes_break_it(content: bytes) -> None:
    """Whatever the bytes: a report."""
    assert set(examine(content)) == set(examine(b""))


@given(st.binary(min_size=1, max_size=4), st.integers(0, 600))
def test_no_damage_breaks_it(damage: bytes, at: int) -> None:
    """A packed file with some bytes changed gives a report."""
    content = dumps(Plain(), frozenset((__name__,)))
    at %= len(content)
    assert examine(content[:at] + damage + content[at + len(damage) :])["protocol"] >= 0


def test_limits_hold() -> None:
    """A bomb of references, or of sizes, ends as an error in a process of its own."""
    doubling = b"(l" + b"p0\n(g0\ng0\nlp0\n" * 40 + b"."
    assert "error" in examine_bytes(doubling)
    huge = b"\x80\x04\x8e" + (2**62).to_bytes(8, "little") + b"x."
    assert examine_bytes(huge)["error"] != ""


def test_nothing_is_executed(tmp_path: Path) -> None:
    """The classic: loading this would write a file; looking at it does not."""
    content = pickle.dumps(Evil(os.system, f"touch {tmp_path}/owned"))
    report = examine_bytes(content)
    assert not (tmp_path / "owned").exists()
    assert report["calls"] == [
        {"what": "calls os.system", "verdict": "dangerous", "arguments": f"'touch {tmp_path}/owned'", "count": 1}
    ]
