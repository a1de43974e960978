"""Reading back: filters, copies, bytes as they were printed, following over rotations."""

import base64
import os
from collections.abc import Iterator
from datetime import UTC
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from akjob.config import Paths
from akjob.log import archive, files, index
from akjob.log.collector.sink import FileSink
from akjob.log.reading import read
from akjob.log.reading.read import _Seen
from tests.unit.log.lines import START_US, line, make_root

SECOND_US = 1_000_000


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """Give a fresh root."""
    return make_root(tmp_path)


@pytest.fixture
def sink(paths: Paths) -> Iterator[FileSink]:
    """Give a log that lines can be appended to."""
    made = FileSink(str(paths.log_dir), UTC, 1 << 30)
    made.open(START_US)
    yield made
    made.close()


def put(sink: FileSink, *lines: bytes, now_us: int = START_US) -> None:
    """Append lines as they are."""
    for each in lines:
        sink.append(each, None, now_us)


def seqs(found: Iterator[read.Line]) -> list[int]:
    """Return the numbers of lines that have one."""
    return [each["seq"] for each in found if "seq" in each]


def test_no_log_no_lines(paths: Paths) -> None:
    """A root without a log, or without its folder, has no lines and no error."""
    assert list(read.lines(paths)) == []
    paths.log_dir.rmdir()
    assert list(read.lines(paths, run="r")) == []


def test_filters(paths: Paths, sink: FileSink) -> None:
    """Run, job, time, level and pattern each leave out what does not fit; together all must."""
    put(
        sink,
        line("r1", 1, "alpha", job="a"),
        line("r1", 2, "beta", job="a", at_us=START_US + SECOND_US, level="error"),
        line("r2", 1, "beta", job="b", at_us=START_US + 2 * SECOND_US),
    )
    assert [each["line"] for each in read.lines(paths, run="r1")] == ["alpha", "beta"]
    assert [each["run"] for each in read.lines(paths, job="b")] == ["r2"]
    assert [each["run"] for each in read.lines(paths, since_us=START_US + SECOND_US)] == ["r1", "r2"]
    assert [each["seq"] for each in read.lines(paths, level="warning")] == [2]
    assert [each["run"] for each in read.lines(paths, grep="^.* b. beta|b . beta")] == ["r2"]
    assert [each["seq"] for each in read.lines(paths, run="r1", grep="bet+a", level="info")] == [2]
    assert list(read.lines(paths, run="r1", job="b")) == []


def test_a_name_inside_a_text_is_not_the_name(paths: Paths, sink: FileSink) -> None:
    """A line that quotes another run's line is not one of that run."""
    quoted = line("r2", 1).decode().rstrip("\n").replace('"', '\\"')
    put(sink, line("r1", 1, quoted))
    assert list(read.lines(paths, run="r2")) == []
    nested = b'{"timestamp":"2026-03-29T00:00:00.000000Z","level":"info","event":"x","source":"job","a":{"run":"r2"}}\n'
    put(sink, nested)
    assert list(read.lines(paths, run="r2")) == []


def test_torn_lines_are_left_out(paths: Paths, sink: FileSink) -> None:
    """Half a line, and a line that is not an object, are passed over; so is an unfinished last one."""
    put(sink, line("r1", 1)[:60] + b"\n", b"[1]\n", b"\n", line("r1", 1))
    with paths.log.open("ab") as log:
        log.write(line("r1", 2)[:70])
    assert seqs(read.lines(paths)) == [1]


@given(st.lists(st.integers(0, 40), max_size=60))
def test_copies_are_told_apart(numbers: list[int]) -> None:
    """In whatever order numbers come, each is taken the first time and no other."""
    seen = _Seen()
    taken = [n for n in numbers if seen.first_time({"run": "r", "seq": n}, b"")]
    assert taken == list(dict.fromkeys(numbers))


def test_lines_without_a_number_are_told_apart_by_their_bytes(paths: Paths, sink: FileSink) -> None:
    """What akjobd sent twice is shown once."""
    same = (
        b'{"timestamp":"2026-03-29T00:00:00.000001Z","level":"info","event":"job.added","source":"akjobd","job":"a"}\n'
    )
    put(sink, same, same.replace(b"1Z", b"2Z"), same)
    assert [each["timestamp"][-3:] for each in read.lines(paths, job="a")] == ["01Z", "02Z"]


@given(st.binary(max_size=300), st.integers(1, 50))
def test_raw_is_byte_for_byte(data: bytes, piece: int) -> None:
    """Whatever a run printed comes back as it was, in pieces or not, with a newline at the end or not."""
    lines = []
    for number, text in enumerate(data.split(b"\n")):
        pieces = [text[start : start + piece] for start in range(0, len(text), piece)] or [b""]
        last_line = number == data.count(b"\n")
        for place, part in enumerate(pieces):
            whole = place == len(pieces) - 1 and not last_line
            if part or whole:
                lines.append((part, whole))
    found = []
    for seq, (part, whole) in enumerate(lines, 1):
        each: dict[str, object] = {"event": "run.output", "stream": "stdout", "run": "r", "seq": seq}
        try:
            each["line"] = part.decode()
        except UnicodeDecodeError:
            each["base64"] = base64.b64encode(part).decode()
        if not whole:
            each["eol"] = False
        found.append(msgspec.json.decode(msgspec.json.encode(each)))
    assert b"".join(read.bytes_of(each) for each in found) == data


def test_raw_takes_one_stream(paths: Paths, sink: FileSink) -> None:
    """Standard output and standard error can be had apart, and together as they came."""
    error = line("r1", 2, "oops").replace(b'"stdout"', b'"stderr"')
    put(sink, line("r1", 1, "one"), error, line("r1", 3, "two"))
    assert b"".join(read.printed(read.lines(paths, run="r1"))) == b"one\noops\ntwo\n"
    assert b"".join(read.printed(read.lines(paths, run="r1"), "stdout")) == b"one\ntwo\n"
    assert b"".join(read.printed(read.lines(paths, run="r1"), "stderr")) == b"oops\n"


def test_follow_goes_on_over_rotations(paths: Paths, sink: FileSink) -> None:
    """What was there comes first, then what is added, also when several files were finished in between."""
    put(sink, line("r1", 1))
    asked: list[int] = []

    def tired() -> bool:
        asked.append(1)
        return len(asked) > 50  # some seconds: so that a follower that has lost its way ends

    follower = read.follow(paths, run="r1", stop=tired)
    assert seqs(islice(follower, 1)) == [1]
    put(sink, line("r1", 2))
    assert seqs(islice(follower, 1)) == [2]
    for day in (1, 2, 3):
        now_us = START_US + day * 86_400 * SECOND_US
        sink.rotate_if_due(now_us)
        put(sink, line("r1", 2 + day, at_us=now_us), now_us=now_us)
    assert seqs(islice(follower, 3)) == [3, 4, 5]
    follower.close()  # type: ignore[attr-defined]


def test_follow_ends_when_told_to(paths: Paths, sink: FileSink) -> None:
    """``stop`` ends it, after everything that was written until then."""
    put(sink, line("r1", 1), line("r1", 2))
    assert seqs(read.follow(paths, run="r1", stop=lambda: True)) == [1, 2]
    assert seqs(read.follow(paths, run="r1", history=False, stop=lambda: True)) == []


def test_follow_begins_before_there_is_a_log(paths: Paths) -> None:
    """A stream that does not exist yet is waited for."""
    asked = []

    def stop() -> bool:
        asked.append(1)
        if len(asked) == 2:
            paths.log.write_bytes(line("r1", 1))
        return len(asked) > 2

    assert seqs(read.follow(paths, stop=stop)) == [1]


def test_a_line_that_is_half_written_is_waited_for(paths: Paths, sink: FileSink) -> None:
    """A follower shows whole lines only."""
    put(sink, line("r1", 1))
    whole = line("r1", 2)
    with paths.log.open("ab") as log:
        log.write(whole[:50])
        log.flush()
        follower = read._Tail(str(paths.log_dir))
        assert list(follower.chunks()) == []
        log.write(whole[50:])
        log.flush()
        assert list(follower.chunks()) == [whole]
        follower.close()


def test_the_index_is_no_condition(paths: Paths, sink: FileSink) -> None:
    """Without its index a run is found all the same."""
    sink.append(line("r1", 1), index.key_of("r1", "a/b"), START_US)
    sink.close()
    for path in (paths.log_dir / "index").iterdir():
        path.unlink()
    assert seqs(read.lines(paths, run="r1")) == [1]


@pytest.fixture
def long(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """Give a log of 600 lines of three runs in an archived, a finished and a current file; read in small pieces."""
    sink = FileSink(str(paths.log_dir), UTC, 40_000)
    sink.open(START_US)
    for seq in range(200):
        for run in ("r1", "r2", "r3"):
            sink.append(line(run, seq), index.key_of(run, "a/b"), START_US)
    sink.close()
    first, *others = files.finished(str(paths.log_dir))
    assert others
    monkeypatch.setattr(archive, "BLOCK", 5_000)
    archive.compress(str(paths.log_dir), first)
    monkeypatch.setattr(read, "_STEP", 700)
    return paths


@pytest.mark.parametrize("run", [None, "r2"])
@pytest.mark.parametrize("count", [1, 7, 100, 300, 10_000])
def test_the_last_lines_are_the_end_of_all(long: Paths, run: str | None, count: int) -> None:
    """Read from the end, over current, finished and archived files, they are the same lines."""
    assert read.last(long, count, run=run) == list(read.lines(long, run=run))[-count:]
    assert read.last(long, count, run=run, grep="r3") == list(read.lines(long, run=run, grep="r3"))[-count:]


def lengths_asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the list that gets the length of each read of a file from now on."""
    asked: list[int] = []
    pread = os.pread

    def counted(fd: int, length: int, offset: int) -> bytes:
        asked.append(length)
        return pread(fd, length, offset)

    monkeypatch.setattr(os, "pread", counted)
    return asked


def test_the_last_lines_are_read_and_no_others(long: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it costs does not follow from the length of the log."""
    asked = lengths_asked(monkeypatch)
    assert len(read.last(long, 2)) == 2
    assert 0 < sum(asked) <= 80_000  # where the last line ends, the head of the file, and a piece or two


def test_the_last_lines_are_decoded_and_no_others(
    paths: Paths, sink: FileSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a piece that has many lines; copies are looked at until there are enough others."""
    for seq in (*range(500), *range(490, 500)):
        sink.append(line("r1", seq), index.key_of("r1", "a/b"), START_US)
    sink.close()
    looked: list[object] = []
    wants = read._Filter.wants

    def noted(own: read._Filter, one: read.Line) -> bool:
        looked.append(one)
        return wants(own, one)

    monkeypatch.setattr(read._Filter, "wants", noted)
    assert seqs(iter(read.last(paths, 12, run="r1"))) == list(range(488, 500))
    assert len(looked) == 22
    assert read.last(paths, 0, run="r1") == []


def test_reading_ends_after_so_many_bytes(long: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over archived, finished and current files together, a window more or less."""
    monkeypatch.setattr(read, "_WINDOW", 1000)
    whole = seqs(read.lines(long, run="r2"))
    some = seqs(read.lines(long, run="r2", most_bytes=30_000))
    assert 0 < len(some) < len(whole)
    assert some == whole[: len(some)]
    assert seqs(read.lines(long, run="r2", most_bytes=10_000_000)) == whole
    asked = lengths_asked(monkeypatch)
    few = seqs(read.lines(long, run="r2", most_bytes=3000))
    assert 0 < len(few) < len(some)
    assert sum(one for one in asked if one <= 1000) <= 4000


@pytest.mark.parametrize("after", [-1, 0, 1, 57, 133, 134, 198, 199, 1000])
def test_the_lines_after_a_number_are_those_of_the_whole(
    long: Paths, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever in archived, finished and current files they begin."""
    monkeypatch.setattr(read, "_PROBE", 300)
    assert seqs(read.lines(long, run="r2", after=after)) == [seq for seq in range(200) if seq > after]


@settings(deadline=None)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=5), st.integers(0, 40))
def test_the_lines_after_a_number_where_numbers_fall(restarts: list[int], after: int) -> None:
    """A sender that began again put some of them a second time: each is there once."""
    numbers = [1]
    for back in restarts:
        begin = max(1, numbers[-1] - back)
        numbers += range(begin, begin + 9)
    with TemporaryDirectory() as folder:
        paths = make_root(Path(folder))
        sink = FileSink(str(paths.log_dir), UTC, 1 << 30)
        sink.open(START_US)
        put(sink, *(line("r1", number) for number in numbers))
        sink.close()
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(read, "_PROBE", 150)
            found = seqs(read.lines(paths, run="r1", after=after))
    assert found == list(range(after + 1, max(numbers) + 1))


def test_what_is_before_a_number_is_not_read(paths: Paths, sink: FileSink, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a long log is found by looking at some places in it."""
    for seq in range(20_000):
        sink.append(line("r1", seq), index.key_of("r1", "a/b"), START_US)
    monkeypatch.setattr(read, "_PROBE", 4096)
    asked = lengths_asked(monkeypatch)
    assert seqs(read.lines(paths, run="r1", after=19_990)) == list(range(19_991, 20_000))
    assert 0 < sum(asked) < paths.log.stat().st_size / 10


def test_a_copy_does_not_count_twice(paths: Paths, sink: FileSink) -> None:
    """What was sent again is there once, and more is read instead."""
    put(sink, *(line("r1", seq) for seq in (1, 2, 3, 2, 3)))
    assert seqs(iter(read.last(paths, 3))) == [1, 2, 3]


def test_a_follower_may_begin_with_the_last_lines(paths: Paths, sink: FileSink) -> None:
    """It shows so many of the past, then what is added, and no copy of either."""
    put(sink, line("r1", 1), line("r1", 2), line("r1", 3))
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        if len(asked) == 2:
            put(sink, line("r1", 3), line("r1", 4))
        return len(asked) > 2

    assert seqs(read.follow(paths, newest=2, stop=stop)) == [2, 3, 4]
