"""An exception as a value, and back as the text that Python prints."""

import traceback
from collections.abc import Callable

import msgspec
import pytest

from akjob.log.line import encode
from akjob.log.line.failure import describe
from akjob.log.reading.failure_text import failure_text


def plain() -> None:
    """One frame, one message."""
    raise ValueError("wrong value: 3")


def without_message() -> None:
    """Raise a bare class."""
    raise KeyError


def several_lines() -> None:
    """Fail in a part of a line, which Python marks."""
    {"a": {"b": 1}}["a"]["c"] + len(str(1))


def with_cause() -> None:
    """One exception from another."""
    try:
        plain()
    except ValueError as error:
        raise RuntimeError("two\nlines") from error


def with_context() -> None:
    """One exception while another was handled."""
    try:
        plain()
    except ValueError:
        without_message()


def suppressed() -> None:
    """``from None``."""
    try:
        plain()
    except ValueError:
        raise RuntimeError("only this") from None


def with_notes() -> None:
    """Raise with notes, one of two lines."""
    error = ValueError("noted")
    error.add_note("first")
    error.add_note("second\nthird")
    raise error


def syntax() -> None:
    """Something that has a place of its own."""
    compile("x = = 3", "job.py", "exec")


def recursive(depth: int = 40) -> None:
    """Fail after the same line again and again."""
    if depth:
        recursive(depth - 1)
    raise RecursionError("deep")


def group() -> None:
    """Several at once, one with a traceback, one nested group, from a cause."""
    members: list[Exception] = []
    for function in (plain, with_cause):
        try:
            function()
        except (ValueError, RuntimeError) as error:
            members.append(error)
    inner = ExceptionGroup("inner", [KeyError("k"), ValueError("v\nw")])
    try:
        plain()
    except ValueError as error:
        raise ExceptionGroup("outer", [*members, inner, OSError(2, "gone")]) from error


def group_without_frames() -> None:
    """Raise a group inside another exception's chain."""
    try:
        group()
    except ExceptionGroup as error:
        raise RuntimeError("after") from error


FAILING = [
    plain, without_message, several_lines, with_cause, with_context, suppressed, with_notes, syntax, recursive, group,
    group_without_frames,
]  # fmt: skip


def caught(function: Callable[[], None]) -> BaseException:
    """Return what a function raises."""
    try:
        function()
    except BaseException as error:  # noqa: BLE001 - the point of it
        return error
    raise AssertionError


@pytest.mark.parametrize("function", FAILING)
def test_it_is_shown_as_python_shows_it(function: Callable[[], None]) -> None:
    """The field, written to JSON and read back, gives the very text that Python prints."""
    error = caught(function)
    field = msgspec.json.decode(encode.encode(describe(error)).encode())
    assert failure_text(field) + "\n" == "".join(traceback.format_exception(error))


def test_the_fields() -> None:
    """Type, message and frames can be had without taking a text apart."""
    field = describe(caught(with_cause))
    assert (field["type"], field["message"]) == ("RuntimeError", "two\nlines")
    cause = field["cause"]
    assert isinstance(cause, dict)
    assert (cause["type"], cause["message"]) == ("ValueError", "wrong value: 3")
    assert [frame["function"] for frame in cause["frames"]] == ["with_cause", "plain"]
    assert cause["frames"][-1]["source"] == 'raise ValueError("wrong value: 3")'


def test_a_very_deep_traceback_is_cut_in_the_middle() -> None:
    """Of thousands of different frames both ends are kept."""

    def down(n: int) -> None:
        if n == 0:
            raise ValueError
        (up if n % 2 else down)(n - 1)

    def up(n: int) -> None:
        if n == 0:
            raise ValueError
        (up if n % 2 else down)(n - 1)

    field = describe(caught(lambda: down(300)))
    frames = field["frames"]
    assert isinstance(frames, list)
    assert len(frames) == 120
    assert frames[59]["omitted"] == 303 - 120
    assert "[183 frames left out]" in failure_text(field)
