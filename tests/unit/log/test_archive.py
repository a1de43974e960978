"""Compression, retention, and reading a part of an archived file."""

import gzip
import os
import zlib
from datetime import UTC
from pathlib import Path

import pytest

from akjob.config import Paths
from akjob.log import archive, files, index
from akjob.log.collector.sink import FileSink
from akjob.log.reading import read
from tests.unit.log.lines import START_US, line, make_root

DAY_US = 86_400_000_000


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """Five days of a log, from 2026-03-29 on, 100 lines a day."""
    paths = make_root(tmp_path)
    sink = FileSink(str(paths.log_dir), UTC, 1 << 30)
    sink.open(START_US)
    for day in range(5):
        for seq in range(100):
            run = f"day{day}"
            now_us = START_US + day * DAY_US + seq
            sink.append(line(run, seq, "z" * 80, at_us=now_us), index.key_of(run, "a/b"), now_us)
    sink.close()
    return paths


def upkeep(paths: Paths, today: str, keep_days: int = 15, max_total: int = 1 << 40) -> list[str]:
    """Do what is due; return the events."""
    events = archive.maintain(str(paths.log_dir), today, keep_days, max_total)
    return [f"{event['event']} {event['file']}" for event in events]


def test_files_are_compressed_after_a_day(paths: Paths) -> None:
    """Yesterday's file stays plain, older ones become gzip files that zcat reads, and every run is still found."""
    plain = (paths.log_dir / "akjob-2026-03-29.jsonl").read_bytes()
    assert upkeep(paths, "2026-04-02") == [
        f"collector.archived archive/akjob-2026-03-{day}.jsonl.gz" for day in (29, 30, 31)
    ]
    assert (paths.log_dir / "akjob-2026-04-01.jsonl").exists()
    assert gzip.decompress((paths.archive / "akjob-2026-03-29.jsonl.gz").read_bytes()) == plain
    for day in range(5):
        assert [each["seq"] for each in read.lines(paths, run=f"day{day}")] == list(range(100))


def test_a_part_of_an_archive_is_read_alone(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an archived file only the blocks of the run are unpacked."""
    monkeypatch.setattr(archive, "BLOCK", 4000)
    upkeep(paths, "2026-04-02")
    unpacked = []
    real = zlib.decompress

    def spy(data: bytes, wbits: int) -> bytes:
        unpacked.append(len(data))
        return real(data, wbits=wbits)

    monkeypatch.setattr(zlib, "decompress", spy)
    assert len(list(read.lines(paths, run="day1"))) == 100
    tables = [archive.read_table(str(path)) for path in (paths.log_dir / "index").glob("*.blocks")]
    assert len(unpacked) == max(len(table.offsets) - 1 for table in tables if table is not None)
    unpacked.clear()
    table = next(table for table in tables if table is not None and len(table.offsets) > 3)
    with next(path for path in paths.archive.iterdir() if path.stat().st_size == table.offsets[-1]).open("rb") as file:
        assert len(archive.read_extent(file.fileno(), table, index.Extent(2 * archive.BLOCK + 7, 50))) == 50
    assert len(unpacked) == 1


@pytest.mark.parametrize("text", ["", "5\n", "no number\n"])
def test_a_torn_block_table_costs_time_only(paths: Paths, text: str) -> None:
    """It is renamed into place without waiting for the disk: after a power cut the file is read from its beginning."""
    upkeep(paths, "2026-04-02")
    for path in (paths.log_dir / "index").glob("*.blocks"):
        path.write_text(text)
    assert len(list(read.lines(paths, run="day1"))) == 100


def test_archives_of_others_are_read_too(paths: Paths) -> None:
    """A file that logrotate compressed has no block table: it is read from its beginning."""
    plain = paths.log_dir / "akjob-2026-03-29.jsonl"
    (paths.log_dir / "akjob.jsonl-20260329.gz").write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    assert len(list(read.lines(paths, run="day0"))) == 100


def test_a_cut_archive_costs_its_rest_only(paths: Paths) -> None:
    """What stands before the damage is read, and the other files are."""
    upkeep(paths, "2026-04-02")
    path = paths.archive / "akjob-2026-03-29.jsonl.gz"
    path.write_bytes(path.read_bytes()[:-20])
    assert len(list(read.lines(paths, run="day1"))) == 100
    assert len(list(read.lines(paths, job="a/b"))) >= 400


def test_old_files_are_removed(paths: Paths) -> None:
    """What is older than the days kept goes, with its index."""
    upkeep(paths, "2026-04-02")
    assert upkeep(paths, "2026-04-02", keep_days=3) == ["collector.removed akjob-2026-03-29.jsonl.gz"]
    assert list(read.lines(paths, run="day0")) == []
    assert len(list((paths.log_dir / "index").glob("*.blocks"))) == 2
    assert len([path for path in (paths.log_dir / "index").iterdir() if not path.suffix]) == 4


def test_the_total_is_capped(paths: Paths) -> None:
    """Above the cap the oldest go first, and the current file never."""
    done = upkeep(paths, "2026-04-02", max_total=1)
    assert [event for event in done if "removed" in event] == [
        f"collector.removed akjob-2026-{day}.jsonl.gz" for day in ("03-29", "03-30", "03-31", "04-01")
    ]
    assert len(list(read.lines(paths, run="day4"))) == 100


def test_half_of_the_cap_compresses_early(paths: Paths) -> None:
    """Rather than to remove files soon, yesterday's is compressed before its day is over."""
    total = archive._total(str(paths.log_dir))
    assert "collector.archived archive/akjob-2026-04-01.jsonl.gz" not in upkeep(
        paths, "2026-04-02", max_total=total * 2
    )
    assert upkeep(paths, "2026-04-02", max_total=1000) != []


def test_a_killed_compression_is_begun_anew(paths: Paths) -> None:
    """What is left of one that was killed does no harm: half a new file, or both the old and the finished new one."""
    source = (paths.log_dir / "akjob-2026-03-29.jsonl").read_bytes()
    paths.archive.mkdir()
    (paths.archive / "akjob-2026-03-30.jsonl.gz.new").write_bytes(b"half")
    upkeep(paths, "2026-03-31")
    (paths.log_dir / "akjob-2026-03-29.jsonl").write_bytes(source)
    assert len(list(read.lines(paths, run="day0"))) == 100
    upkeep(paths, "2026-04-02")
    assert sorted(path.name for path in paths.archive.iterdir()) == [
        f"akjob-2026-03-{day}.jsonl.gz" for day in (29, 30, 31)
    ]
    assert len(list(read.lines(paths, run="day0"))) == 100


def test_an_archive_keeps_the_time_of_its_last_line(paths: Paths) -> None:
    """``--since`` passes over files by their time, so compression must not change it."""
    os.utime(paths.log_dir / "akjob-2026-03-29.jsonl", (1_000_000, 1_000_000))
    upkeep(paths, "2026-04-02")
    assert (paths.archive / "akjob-2026-03-29.jsonl.gz").stat().st_mtime == 1_000_000


def test_order_of_files(tmp_path: Path) -> None:
    """Files are in the order of their dates, then of their numbers as numbers."""
    for name in ("akjob-2026-03-29.10.jsonl", "akjob-2026-03-29.2.jsonl", "akjob-2026-03-29.jsonl", "akjob.jsonl"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "akjob-2026-03-28.jsonl.gz").write_bytes(b"")
    assert [os.path.basename(file.path) for file in files.finished(str(tmp_path))] == [
        "akjob-2026-03-28.jsonl.gz",
        "akjob-2026-03-29.jsonl",
        "akjob-2026-03-29.2.jsonl",
        "akjob-2026-03-29.10.jsonl",
    ]
