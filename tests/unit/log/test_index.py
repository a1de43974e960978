"""The index finds each line of a run exactly once, whatever happened to the files."""

import os
from datetime import UTC
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from akjob.config import Paths
from akjob.log import archive, files, index
from akjob.log.collector.sink import FileSink
from akjob.log.reading import read
from tests.unit.log.lines import START_US, line, make_root

DAY_US = 86_400_000_000
RUNS = ("r1", "r2", "r11")

steps = st.one_of(
    st.tuples(st.just("write"), st.sampled_from(RUNS), st.integers(1, 30)),
    st.tuples(st.just("copy"), st.sampled_from(RUNS), st.integers(1, 10)),
    st.tuples(st.sampled_from(["day", "crash", "archive", "torn", "forget"]), st.just(""), st.just(0)),
)


class Story:
    """A log that is written, rotated, archived, and whose collector crashes."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self.now_us = START_US
        self.seq = dict.fromkeys(RUNS, 0)
        self.sink = self._open()

    def _open(self) -> FileSink:
        sink = FileSink(str(self.paths.log_dir), UTC, 20_000)
        sink.open(self.now_us)
        return sink

    def write(self, run: str, count: int, first: int) -> None:
        """Write lines of a run."""
        data = b"".join([line(run, seq, at_us=self.now_us) for seq in range(first, first + count)])
        self.sink.append(data, index.key_of(run, "job/" + run), self.now_us)
        self.seq[run] = max(self.seq[run], first + count - 1)

    def step(self, what: str, run: str, count: int) -> None:
        """Let one thing happen."""
        self.now_us += 1
        if what == "write":
            self.write(run, count, self.seq[run] + 1)
        elif what == "copy":
            self.write(run, count, max(1, self.seq[run] - count + 1))
        elif what == "day":
            self.now_us += DAY_US
            self.sink.rotate_if_due(self.now_us)
        elif what == "archive":
            list(archive.maintain(str(self.paths.log_dir), "2099-01-01", 100_000, 1 << 40))
        else:
            self.crash(what)

    def crash(self, what: str) -> None:
        """Begin again without having closed anything: the index has what was flushed only."""
        if what == "torn":
            with self.paths.log.open("ab") as log:
                log.write(line("r1", self.seq["r1"] + 1)[:50])
        if what == "forget":
            for path in (self.paths.log_dir / files.INDEX).glob("*"):
                if path.suffix != ".blocks":
                    path.unlink()
        abandon(self.sink)
        self.sink = self._open()


def abandon(sink: FileSink) -> None:
    """Close what the kernel would close for a killed collector, and do nothing else."""
    if sink._index is not None:
        sink._index.close()
        sink._index = None
    for fd in (sink._fd, *sink._unsynced):
        os.close(fd)


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the pieces so small that a short story has many."""
    monkeypatch.setattr(index, "SEGMENT", 3000)
    monkeypatch.setattr(index, "GAP", 500)
    monkeypatch.setattr(archive, "BLOCK", 1500)
    monkeypatch.setattr(read, "_WINDOW", 1000)


@settings(max_examples=30, deadline=None)
@given(st.lists(steps, max_size=40))
def test_each_line_exactly_once(story: list[tuple[str, str, int]]) -> None:
    """Interleavings, copies, rotations, archiving, crashes: a run is read back complete, in order, each line once."""
    with TemporaryDirectory() as folder:
        paths = make_root(Path(folder))
        told = Story(paths)
        for step in story:
            told.step(*step)
        for run in RUNS:
            expected = list(range(1, told.seq[run] + 1))
            assert [each["seq"] for each in read.lines(paths, run=run)] == expected
        assert sum(1 for each in read.lines(paths) if "seq" in each) == sum(told.seq.values())
        told.sink.close()


def test_a_job_is_found_too(tmp_path: Path) -> None:
    """A job's lines are found by the job's name, not those of a job whose name ends in the same letters."""
    paths = make_root(tmp_path)
    sink = FileSink(str(paths.log_dir), UTC, 1 << 30)
    sink.open(START_US)
    for run, job in (("r1", "b"), ("r2", "a/b"), ("b", "c")):
        sink.append(line(run, 1, job=job) * 20, index.key_of(run, job), START_US)
    sink.close()
    assert {each["run"] for each in read.lines(paths, job="b")} == {"r1"}
    assert {each["run"] for each in read.lines(paths, job="a/b")} == {"r2"}


def test_only_a_runs_own_part_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Out of a long file no more is looked at than the run's extents and what the index does not know yet."""
    paths = make_root(tmp_path)
    sink = FileSink(str(paths.log_dir), UTC, 1 << 30)
    sink.open(START_US)
    for number in range(200):
        run = "wanted" if number == 100 else f"other{number}"
        sink.append(line(run, 1, "y" * 900), index.key_of(run, "j"), START_US)
    sink.close()
    looked_at = []
    pick = read._Filter.pick

    def spy(self: read._Filter, chunk: bytes) -> object:
        looked_at.append(len(chunk))
        return pick(self, chunk)

    monkeypatch.setattr(read._Filter, "pick", spy)
    assert [each["run"] for each in read.lines(paths, run="wanted")] == ["wanted"]
    assert sum(looked_at) < 5000


def test_what_stands_far_apart_is_two_extents(tmp_path: Path) -> None:
    """Lines that are near to each other are one extent, lines with more than GAP bytes between them are two."""
    path = tmp_path / "index"
    writer = index.IndexWriter(str(path))
    key = index.key_of("r1", "j")
    for offset in (0, 10 + index.GAP, 2 * (10 + index.GAP) + 1):
        writer.add(key, offset, 10)
    writer.flush(5000)
    writer.close()
    found, covered = index.lookup(str(path), run="r1")
    assert [(each.offset, each.length) for each in found] == [(0, 20 + index.GAP), (2 * (10 + index.GAP) + 1, 10)]
    assert covered == 5000


def test_a_torn_index_is_cut(tmp_path: Path) -> None:
    """What stands behind the last checkpoint of an index is not trusted, and is written again."""
    path = tmp_path / "index"
    path.write_bytes(b"0 10 r1 j\n=10\n10 99 r2 j\n20 5")
    writer = index.IndexWriter(str(path))
    assert writer.covered == 10
    writer.add(index.key_of("r3", "j"), 10, 7)
    writer.flush(17)
    writer.close()
    assert path.read_bytes() == b"0 10 r1 j\n=10\n10 7 r3 j\n=17\n"


def test_lines_of_the_daemon_are_found_by_what_they_say() -> None:
    """A line that names a run or a job is indexed under them; an escaped quote inside a text is not a key."""
    assert index.key_of_line(b'{"event":"run.missed","job":"a/b","run":"r1"}') == b" r1 a/b\n"
    assert index.key_of_line(rb'{"event":"x","line":"\"run\":\"evil\""}') == b" - -\n"


def test_a_failing_index_costs_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the index cannot be written, the lines are found by looking through the log."""
    paths = make_root(tmp_path)
    sink = FileSink(str(paths.log_dir), UTC, 1 << 30)
    sink.open(START_US)
    sink.append(line("r1", 1), index.key_of("r1", "j"), START_US)
    monkeypatch.setattr(os, "write", lambda _fd, _data: 3)  # a short write, as on a full disk
    assert sink._index is not None
    sink._index.flush(sink._size)
    monkeypatch.undo()
    sink.append(line("r1", 2), index.key_of("r1", "j"), START_US)
    sink.close()
    assert [each["seq"] for each in read.lines(paths, run="r1")] == [1, 2]
