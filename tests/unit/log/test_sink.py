"""The current log file: rotation by day and size, full disks, crashes at any point."""

import errno
import os
from datetime import UTC, datetime, tzinfo
from pathlib import Path

import msgspec
import pytest

from akjob import instants
from akjob.config import Paths
from akjob.log import index
from akjob.log.collector.sink import FileSink, next_midnight
from akjob.schedule.zones import get_zone
from tests.unit.log.lines import START_US, line, make_root

KEY = index.key_of("r1", "a/b")
BERLIN = get_zone("Europe/Berlin")


def at(text: str) -> int:
    """Return an instant."""
    return instants.from_text(text)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """Give a fresh root."""
    return make_root(tmp_path)


def opened(paths: Paths, now_us: int, zone: tzinfo = UTC, max_size: int = 1 << 30) -> FileSink:
    """Return a sink that is ready."""
    made = FileSink(str(paths.log_dir), zone, max_size)
    made.open(now_us)
    return made


def names(paths: Paths) -> list[str]:
    """Return the names of the log's files."""
    return sorted(path.name for path in paths.log_dir.glob("akjob*"))


def events(path: Path) -> list[str]:
    """Return the events of a file's whole lines."""
    return [msgspec.json.decode(text)["event"] for text in path.read_bytes().splitlines()]


@pytest.mark.parametrize(
    ("zone", "now", "midnight"),
    [
        ("UTC", "2026-03-29T12:00:00Z", "2026-03-30T00:00:00Z"),
        ("Europe/Berlin", "2026-03-28T22:59:59Z", "2026-03-28T23:00:00Z"),
        ("Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-29T22:00:00Z"),
        ("Europe/Berlin", "2026-10-25T12:00:00Z", "2026-10-25T23:00:00Z"),
        # 2026-04-24 begins at 01:00 in Cairo: the gap swallows midnight.
        ("Africa/Cairo", "2026-04-23T12:00:00Z", "2026-04-23T22:00:00Z"),
        # 2026-11-01 has 00:00 twice in Havana; the first one counts.
        ("America/Havana", "2026-10-31T12:00:00Z", "2026-11-01T04:00:00Z"),
        ("+05:30", "2026-03-29T18:29:59Z", "2026-03-29T18:30:00Z"),
    ],
)
def test_midnight(zone: str, now: str, midnight: str) -> None:
    """The next local day begins where the zone's clocks say, also when midnight is missing or comes twice."""
    assert next_midnight(at(now), get_zone(zone)) == at(midnight)


def test_rotation_at_midnight(paths: Paths) -> None:
    """A line written after local midnight is the first of a new file; the old one has the date of its lines."""
    log = opened(paths, at("2026-03-28T22:59:59Z"), BERLIN)
    log.append(line("r1", 1), KEY, at("2026-03-28T22:59:59.999999Z"))
    log.append(line("r1", 2), KEY, at("2026-03-28T23:00:00Z"))
    log.close()
    assert names(paths) == ["akjob-2026-03-28.jsonl", "akjob.jsonl"]
    assert events(paths.log_dir / "akjob-2026-03-28.jsonl") == ["collector.opened", "run.output"]
    assert events(paths.log) == ["collector.rotated", "run.output"]


def test_rotation_without_lines(paths: Paths) -> None:
    """A quiet stream is rotated when :meth:`look` is called at the time that it asked for."""
    log = opened(paths, at("2026-10-25T12:00:00Z"), BERLIN)
    assert log.due_us() == at("2026-10-25T23:00:00Z")
    log.rotate_if_due(at("2026-10-25T22:30:00Z"))
    assert names(paths) == ["akjob.jsonl"]
    log.rotate_if_due(at("2026-10-25T23:00:00Z"))
    assert names(paths) == ["akjob-2026-10-25.jsonl", "akjob.jsonl"]
    log.close()


def test_yesterdays_file_is_rotated_at_the_start(paths: Paths) -> None:
    """A collector that was down over midnight puts its first line into a file of its own day."""
    opened(paths, at("2026-03-28T12:00:00Z")).close()
    log = opened(paths, at("2026-03-30T12:00:00Z"))
    log.append(line("r1", 1), KEY, at("2026-03-30T12:00:00Z"))
    log.close()
    assert names(paths) == ["akjob-2026-03-28.jsonl", "akjob.jsonl"]


def test_a_clock_that_is_set_back_rotates_nothing(paths: Paths) -> None:
    """After a step back over midnight the same file goes on, until its own day is over."""
    log = opened(paths, at("2026-03-29T00:00:01Z"))
    log.append(line("r1", 1), KEY, at("2026-03-28T23:59:59Z"))
    log.append(line("r1", 2), KEY, at("2026-03-29T23:59:59Z"))
    assert names(paths) == ["akjob.jsonl"]
    log.append(line("r1", 3), KEY, at("2026-03-30T00:00:00Z"))
    log.close()
    assert names(paths) == ["akjob-2026-03-29.jsonl", "akjob.jsonl"]


def test_a_start_with_a_clock_far_back_rotates_nothing(paths: Paths) -> None:
    """A file of a day that has not come yet by the clock is not finished at each midnight until then."""
    opened(paths, at("2026-03-31T12:00:00Z")).close()
    log = opened(paths, at("2026-03-28T23:00:00Z"))
    for day in (29, 30, 31):
        log.append(line("r1", day), KEY, at(f"2026-03-{day}T00:00:00Z"))
    log.close()
    assert names(paths) == ["akjob.jsonl"]


def test_rotation_by_size(paths: Paths) -> None:
    """No file exceeds the size; several of one day are numbered."""
    log = opened(paths, START_US, max_size=1000)
    for seq in range(1, 21):
        log.append(line("r1", seq), KEY, START_US + seq)
    log.close()
    assert set(names(paths)) > {f"akjob-2026-03-29{number}.jsonl" for number in ("", ".1", ".2")}
    assert all(path.stat().st_size <= 1000 for path in paths.log_dir.glob("akjob*"))


def test_numbers_of_archived_files_are_not_used_again(paths: Paths) -> None:
    """A day's next file gets a number that no file in the archive has."""
    paths.archive.mkdir()
    (paths.archive / "akjob-2026-03-29.7.jsonl.gz").write_bytes(b"")
    log = opened(paths, START_US, max_size=400)
    log.append(line("r1", 1) * 2, KEY, START_US)
    log.append(line("r1", 3), KEY, START_US)
    log.close()
    assert "akjob-2026-03-29.8.jsonl" in names(paths)


def test_a_torn_line_is_ended(paths: Paths) -> None:
    """What a crash tore is a line of its own, so the next one is whole."""
    opened(paths, START_US).close()
    with paths.log.open("ab") as file:
        file.write(line("r1", 1)[:40])
    log = opened(paths, START_US)
    log.append(line("r1", 1), KEY, START_US)
    log.close()
    texts = paths.log.read_bytes().splitlines(keepends=True)
    assert texts[1:] == [line("r1", 1)[:40] + b"\n", line("r1", 1)]


def test_a_rotation_that_was_cut_short_is_finished(paths: Paths) -> None:
    """A crash between the two steps of a rotation leaves one file with two names; the next start ends it."""
    opened(paths, START_US).close()
    os.link(paths.log, paths.log_dir / "akjob-2026-03-29.jsonl")
    opened(paths, START_US).close()
    assert events(paths.log_dir / "akjob-2026-03-29.jsonl") == ["collector.opened"]
    assert events(paths.log) == ["collector.rotated"]


def test_a_rotation_that_fails_costs_nothing(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the new file cannot be made the old one goes on, whatever its size; a minute later it is tried again."""
    log = opened(paths, START_US, max_size=300)
    log.append(line("r1", 1), KEY, START_US)

    def refuse(*_arguments: object) -> None:
        raise OSError(errno.EACCES, "no")

    monkeypatch.setattr(os, "rename", refuse)
    log.append(line("r1", 2), KEY, START_US + 1)
    monkeypatch.undo()
    assert "cannot rotate" in log.trouble
    assert names(paths) == ["akjob.jsonl"]
    log.append(line("r1", 3), KEY, START_US + 59_000_000)
    assert names(paths) == ["akjob.jsonl"]
    log.append(line("r1", 4), KEY, START_US + 61_000_000)
    log.close()
    assert names(paths) == ["akjob-2026-03-29.jsonl", "akjob.jsonl"]


def test_a_full_disk_tears_nothing(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk takes a part of the lines only, the part is taken back and the caller told."""
    log = opened(paths, START_US)
    before = paths.log.read_bytes()
    write, room = os.write, [100, 0]

    def full(fd: int, data: bytes) -> int:
        left = room.pop(0)
        if not left:
            raise OSError(errno.ENOSPC, "full")
        return write(fd, data[:left])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="full"):
        log.append(line("r1", 1), KEY, START_US)
    monkeypatch.undo()
    assert paths.log.read_bytes() == before
    log.append(line("r1", 1), KEY, START_US)
    log.close()
    assert paths.log.read_bytes() == before + line("r1", 1)


def test_reopen_after_logrotate(paths: Paths) -> None:
    """A file that was renamed stays as it is, and lines go into a new one."""
    log = opened(paths, START_US)
    log.append(line("r1", 1), KEY, START_US)
    paths.log.rename(paths.log_dir / "akjob.jsonl.1")
    log.reopen(START_US + 1)
    log.append(line("r1", 2), KEY, START_US + 1)
    log.close()
    assert events(paths.log_dir / "akjob.jsonl.1") == ["collector.opened", "run.output"]
    assert events(paths.log) == ["collector.opened", "run.output"]


def test_reopen_without_reason_changes_nothing(paths: Paths) -> None:
    """SIGHUP alone begins no new file."""
    log = opened(paths, START_US)
    log.append(line("r1", 1), KEY, START_US)
    log.reopen(START_US + 1)
    log.append(line("r1", 2), KEY, START_US + 1)
    log.close()
    assert events(paths.log) == ["collector.opened", "run.output", "run.output"]
    assert log.rotations == 0


def test_the_date_is_that_of_the_first_line(paths: Paths) -> None:
    """A file's date comes from its first line, in the configured zone, not from the day on which it was finished."""
    log = opened(paths, at("2026-03-28T23:30:00Z"), BERLIN)
    log.rotate_if_due(at("2026-04-02T00:00:00Z"))
    log.close()
    assert names(paths) == ["akjob-2026-03-29.jsonl", "akjob.jsonl"]
    assert datetime.fromisoformat("2026-03-28T23:30:00Z").astimezone(BERLIN).day == 29
