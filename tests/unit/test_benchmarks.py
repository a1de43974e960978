"""What a call of the benchmarks keeps of the call before."""

from benchmarks import report
from benchmarks.book import AKJOB, BASE, Book


def test_only_what_is_measured_again_is_replaced() -> None:
    """With --add a figure replaces the former one of its name; others of its measure stay, as do their samples."""
    first = Book()
    for what, value in (("every 1 s", 1.0), ("every 60 s", 60.0)):
        first.add("h", what, AKJOB, value, "ms", lost=1)
        first.add("h", what, BASE, value, "ms")
        first.sample(f"h {what}", [value])
    second = Book()
    report.recall(report.as_json(first).encode(), second)
    for value in (5.0, 7.0):
        second.add("h", "every 60 s", AKJOB, value, "ms")
        second.sample("h every 60 s", [value])
    kept = {(what, who): (one.values, one.lost) for (_, what, who), one in second.figures.items()}
    assert kept == {
        ("every 1 s", AKJOB): ([1.0], 1),
        ("every 1 s", BASE): ([1.0], 0),
        ("every 60 s", AKJOB): ([5.0, 7.0], 0),
        ("every 60 s", BASE): ([60.0], 0),
    }
    assert second.samples == {"h every 1 s": [1.0], "h every 60 s": [5.0, 7.0]}
