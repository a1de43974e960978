"""Output becomes lines and comes back byte for byte."""

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from akjob.log.line.head import quote, timestamp
from akjob.log.line.output import PIECE, Stream

NAMES = '"job":"reports/nightly","run":"r1"'


def cut(chunks: list[bytes]) -> list[dict[str, object]]:
    """Return the lines that the chunks become, numbered from 1."""
    stream = Stream("stdout", NAMES)
    out, seq = b"", 1
    for chunk in chunks:
        lines, count = stream.feed(chunk, seq, 0)
        out, seq = out + lines, seq + count
    lines, count = stream.end(seq, 0)
    found = [json.loads(line) for line in (out + lines).splitlines()]
    assert [line["seq"] for line in found] == list(range(1, seq + count))
    return found


def back(lines: list[dict[str, object]]) -> bytes:
    """Return the bytes that the lines were made of."""
    out = b""
    for line in lines:
        text = line.get("line")
        out += str(text).encode() if text is not None else base64.b64decode(str(line["base64"]))
        out += b"" if line.get("eol") is False else b"\n"
    return out


@given(st.lists(st.binary(max_size=40) | st.text(max_size=20).map(str.encode) | st.just(b"\n"), max_size=12))
@settings(max_examples=200)
def test_whatever_is_printed_comes_back(chunks: list[bytes]) -> None:
    """Bytes of any kind, cut anywhere, give lines from which the same bytes can be made."""
    assert back(cut(chunks)) == b"".join(chunks)


def test_a_long_line_comes_in_pieces_of_whole_characters() -> None:
    """A line over 64 KiB is cut between characters; all pieces but the last say that no newline ends them."""
    text = ("x" + "€" * (PIECE // 3 * 3)).encode() + b"\n"
    lines = cut([text])
    assert [line.get("eol", True) for line in lines] == [False] * (len(lines) - 1) + [True]
    assert all("line" in line and len(str(line["line"]).encode()) <= PIECE for line in lines)
    assert len(lines) == -(-len(text) // PIECE)
    assert back(lines) == text


def test_a_line_without_end_is_not_kept_in_memory() -> None:
    """A job that never ends its line has it logged in pieces as it comes."""
    stream = Stream("stdout", NAMES)
    sizes = [stream.feed(b"x" * 10_000, 1, 0)[1] for _ in range(20)]
    assert sum(sizes) == 20 * 10_000 // PIECE


def test_what_is_no_utf8_is_base64() -> None:
    """A line that is not UTF-8 has `base64` in place of `line`; its neighbours stay text."""
    lines = cut([b"before\n\xff\xfe\nafter\n"])
    assert [sorted({"line", "base64"} & set(line)) for line in lines] == [["line"], ["base64"], ["line"]]


def test_the_last_line_says_that_no_newline_ended_it() -> None:
    """What stood without a newline at the pipe's end has `eol` false, and a line that has one says nothing."""
    assert [line.get("eol") for line in cut([b"one\ntwo"])] == [None, False]


def test_a_line_has_the_keys_in_their_order() -> None:
    """A line of output is what the events' page says, in that order."""
    (line,) = cut([b'a "quoted" \\ line\n'])
    assert list(line) == ["timestamp", "level", "event", "source", "job", "run", "seq", "stream", "line"]
    assert line["line"] == 'a "quoted" \\ line'


def test_timestamps_are_utc_with_microseconds() -> None:
    """Nanoseconds are cut, not rounded into the future."""
    assert timestamp(1_774_746_000_123_456_999) == "2026-03-29T01:00:00.123456Z"


def test_a_name_with_half_a_character_is_still_json() -> None:
    """Half a surrogate pair, which a file name can hold, does not tear the stream."""
    assert json.loads(quote('a"\udcff')) == 'a"?'


@pytest.mark.parametrize(
    ("rest", "shown", "kept"),
    [
        (b"\r10%", b"\r10%", b""),
        (b"10%\r", b"10%\r", b""),
        ("\r5 €".encode(), "\r5 €".encode(), b""),
        ("\r5 €".encode()[:-1], b"\r5 ", "€".encode()[:-1]),
        ("\r5 é".encode()[:-1], b"\r5 ", "é".encode()[:-1]),
    ],
)
def test_an_unfinished_line_can_be_shown(rest: bytes, shown: bytes, kept: bytes) -> None:
    """But for a character that is cut off; nothing is lost when the rest comes."""
    stream = Stream("stdout", NAMES)
    assert stream.feed(rest, 1, 0) == (b"", 0)
    assert stream.shows_progress
    piece, count = stream.so_far(1, 0)
    line = json.loads(piece)
    assert (count, line["line"].encode(), line["eol"]) == (1, shown, False)
    last, _ = stream.end(2, 0)
    assert bool(last) == bool(kept)


def test_an_unfinished_line_without_a_carriage_return_waits() -> None:
    """It is not progress: it will be finished."""
    stream = Stream("stdout", NAMES)
    stream.feed(b"half a li", 1, 0)
    assert not stream.shows_progress


def test_a_character_alone_that_is_cut_off_is_kept() -> None:
    """There is nothing to show yet."""
    stream = Stream("stdout", NAMES)
    stream.feed("€".encode()[:-1], 1, 0)
    assert stream.so_far(1, 0) == (b"", 0)
    assert stream.feed("€\n".encode()[2:], 1, 0)[0].count("€".encode()) == 1
