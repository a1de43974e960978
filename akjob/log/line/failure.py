"""An exception as a value for the log: frames, message, notes, what it came from. Loads ``traceback`` when called."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import traceback

_FRAMES = 60
"""Frames kept at each end of a long traceback."""

_REPEATS = 3
_DEEPEST = 10
_MEMBERS = 50


def describe(error: BaseException) -> dict[str, object]:
    """Return ``type``, ``message``, ``frames``; if there are any ``notes``, ``cause`` or ``context``, ``exceptions``.

    A frame has ``file``, ``line``, ``function`` and ``source``: the line of code, with Python's marks below it. One
    that came again and again has ``repeated``. ``text`` is there if Python reports more than type and message, as for
    a SyntaxError.
    """
    import traceback  # noqa: PLC0415 - a job that fails may take these milliseconds, others need not

    return _described(traceback.TracebackException.from_exception(error, limit=None, compact=True), 0)


def _described(error: traceback.TracebackException, depth: int) -> dict[str, object]:
    said = "".join(error.format_exception_only()).rstrip("\n")
    kind = _type_name(error)
    message = str(error)
    notes = list(getattr(error, "__notes__", None) or [])
    out: dict[str, object] = {"type": kind, "message": message, "frames": _frames(error.stack)}
    if notes:
        out["notes"] = [str(note) for note in notes]
    plain = f"{kind}: {message}" if message else kind
    if "\n".join([plain, *[str(note) for note in notes]]) != said:
        out["text"] = said
    if depth < _DEEPEST:
        if error.__cause__ is not None:
            out["cause"] = _described(error.__cause__, depth + 1)
        elif error.__context__ is not None and not error.__suppress_context__:
            out["context"] = _described(error.__context__, depth + 1)
        if error.exceptions:
            out["exceptions"] = [_described(each, depth + 1) for each in error.exceptions[:_MEMBERS]]
    return out


def _type_name(error: traceback.TracebackException) -> str:
    name = getattr(error, "exc_type_str", None)  # Python 3.13
    if name is None:
        kind = error.exc_type
        name = kind.__qualname__ if kind is not None else "NoneType"
        if kind is not None and kind.__module__ not in ("builtins", "__main__"):
            name = f"{kind.__module__}.{name}"
    return str(name)


def _frames(stack: traceback.StackSummary) -> list[dict[str, object]]:
    frames: list[dict[str, object]] = []
    last: tuple[str, int | None, str] | None = None
    times = 0
    for summary in stack:
        place = (summary.filename, summary.lineno, summary.name)
        times = times + 1 if place == last else 1
        last = place
        if times > _REPEATS:
            frames[-1]["repeated"] = times - _REPEATS
            continue
        shown = stack.format_frame_summary(summary).split("\n")[1:]
        source = "\n".join([line.removeprefix("    ") for line in shown]).rstrip()
        frames.append({"file": place[0], "line": place[1], "function": place[2], "source": source})
    if len(frames) > 2 * _FRAMES:
        frames[_FRAMES - 1]["omitted"] = len(frames) - 2 * _FRAMES
        frames[_FRAMES:-_FRAMES] = []
    return frames
