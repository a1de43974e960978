"""Every line once, whatever happens to the collector. ``AKJOB_LOG_STORM=50x20000`` for the full size."""

import os
import threading
from contextlib import suppress

import pytest

from akjob.log.reading.read import bytes_of, lines
from akjob.log.reading.read import printed as output_of
from tests.roots import Place
from tests.support import until

RUNS, LINES = (int(part) for part in os.environ.get("AKJOB_LOG_STORM", "8x3000").split("x"))

CODE = """
import sys, time

def numbered(lines):
    for start in range(0, lines, lines // 50):
        for number in range(start, start + lines // 50):
            print("line", number)
        time.sleep(0.1)

def odd():
    out = sys.stdout.buffer
    out.write(bytes(range(256)) * 20 + b"\\n")
    out.write(b"x" * 10_000_000 + b"\\n")
    out.write("gr\\u00fc\\u00dfe, \\u4e16\\u754c\\n".encode())
    out.write(b"\\r\\nno newline at the end")
    out.flush()
    sys.stderr.write("and an error")
"""


@pytest.fixture
def place(place: Place) -> Place:
    """Yield a root in which akjobd and the collector run."""
    (place.root / "code_of_test.py").write_text(CODE)
    return place


def kill_again_and_again(place: Place, stop: threading.Event) -> None:
    """Kill the collector every 300 ms; what is started in its place may not even come to listen."""
    while not stop.wait(0.3):
        with suppress(ProcessLookupError):
            place.kill("akjob-collector")


def test_every_line_once_while_the_collector_is_killed(place: Place) -> None:
    """Many runs print while the collector is killed every 300 ms: each line is in `akjob logs` exactly once."""
    place.job(
        "print",
        f'callable = "code_of_test:numbered"\nargs = [{LINES}]\n[run]\noverlap = "allow"\noutput_limit = "1GB"\n',
    )
    until(lambda: place.known("print"))
    stop = threading.Event()
    killer = threading.Thread(target=kill_again_and_again, args=(place, stop))
    killer.start()
    try:
        runs = [place.run("print") for _ in range(RUNS)]
        rows = [place.wait(run) for run in runs]
    finally:
        stop.set()
        killer.join()
    assert {row["state"] for row in rows} == {"succeeded"}
    until(lambda: not place.folders(), 120.0)
    expected = [f"line {number}" for number in range(LINES)]
    for run in runs:
        assert [line["line"] for line in lines(place.paths, run=run) if line["event"] == "run.output"] == expected


def test_what_was_printed_comes_back_byte_for_byte(place: Place) -> None:
    """Binary output, a line of 10 MB, no newline at the end: `akjob logs RUN --raw` gives the same bytes."""
    place.job("odd", 'callable = "code_of_test:odd"\n')
    until(lambda: place.known("odd"))
    run = place.run("odd")
    place.wait(run)
    until(lambda: [line for line in lines(place.paths, run=run) if line["event"] == "run.finished"])
    printed = (
        bytes(range(256)) * 20 + b"\n" + b"x" * 10_000_000 + b"\n" + "grüße, 世界\n\r\nno newline at the end".encode()
    )
    assert b"".join(output_of(lines(place.paths, run=run), "stdout")) == printed
    assert b"".join(output_of(lines(place.paths, run=run), "stderr")) == b"and an error"
    assert all(
        len(bytes_of(line)) <= 64 * 1024 for line in lines(place.paths, run=run) if line["event"] == "run.output"
    )
