"""The log on a run's page: its end, any stretch of it, and what a search of the whole finds."""

from itertools import count

import pytest
from msgspec.structs import replace

from akjob.log.reading import read
from akjob.log.reading.needle import needle_of
from akjob.query.distant import LocalLog
from akjob.web.api.logs import pattern_of
from akjob.web.pages import logs
from akjob.web.pages.logs import LogWanted, first_error, shown_log
from tests.unit.cli.root import Root, output
from tests.unit.web.serving import Served, served

RUN = "01m85ajwkd1sc8zp"


@pytest.fixture
def root(root: Root) -> Root:
    """Make a run of a thousand lines, the first of which is a warning, every hundredth a \u201chundred\u201d."""
    spec = root.job("tick", 'command = ["true"]\n')
    assert spec is not None
    root.loaded(spec)
    root.run(RUN, "tick", -5, state="succeeded")
    first = output(RUN, 1, "careful", level="warning")
    root.log(first, *(output(RUN, seq, f"{'hundred' if seq % 100 == 0 else 'line'} {seq}") for seq in range(2, 1001)))
    return root


def wanted(*, begin: int | None = None, lines: int = 200, level: str = "", grep: str = "") -> LogWanted:
    """Return what a URL asks for."""
    needle = needle_of(grep) if grep else None
    return LogWanted(begin=begin, count=lines, level=level, grep=grep, fits=pattern_of(grep or None), needle=needle)


def test_it_opens_at_the_end(root: Root) -> None:
    """The last lines, and where those before begin."""
    found = shown_log(LocalLog(root.paths, RUN), wanted())
    assert [line.seq for line in found.lines] == list(range(801, 1001))
    assert (found.earlier, found.later) == (601, None)


@pytest.mark.parametrize(
    ("begin", "first", "last", "earlier", "later"),
    [(1, 1, 200, None, 201), (601, 601, 800, 401, 801), (150, 150, 349, 1, 350), (900, 900, 1000, 700, None)],
)
def test_it_goes_to_any_line(  # noqa: PLR0913, PLR0917 - a row of the table each
    root: Root, begin: int, first: int, last: int, earlier: int | None, later: int | None
) -> None:
    """From a number on, with the ways back and forth."""
    found = shown_log(LocalLog(root.paths, RUN), wanted(begin=begin))
    assert (found.lines[0].seq, found.lines[-1].seq) == (first, last)
    assert (found.earlier, found.later) == (earlier, later)


def test_a_search_is_of_the_whole_log(root: Root) -> None:
    """Not of the lines that the page would show without it."""
    assert [line.seq for line in shown_log(LocalLog(root.paths, RUN), wanted(grep="(?i)hundred")).lines] == list(
        range(100, 1001, 100)
    )
    assert [line.seq for line in shown_log(LocalLog(root.paths, RUN), wanted(level="warning")).lines] == [1]
    assert shown_log(LocalLog(root.paths, RUN), wanted(level="error")).lines == []


def test_a_search_goes_on_from_where_it_ended(root: Root) -> None:
    """After its page is full, or its time is over, it says how far it came."""
    found = shown_log(LocalLog(root.paths, RUN), wanted(grep="hundred", lines=4))
    assert ([line.seq for line in found.lines], found.searched, found.later) == ([100, 200, 300, 400], 499, 500)
    found = shown_log(LocalLog(root.paths, RUN), wanted(grep="hundred", lines=4, begin=401))
    assert [line.seq for line in found.lines] == [500, 600, 700, 800]
    ticks = count()
    found = shown_log(LocalLog(root.paths, RUN), wanted(grep="(?i)hundred"), lambda: next(ticks) / 125)
    assert ([line.seq for line in found.lines], found.searched) == ([100], 125)


def test_the_page_links_what_a_search_finds_to_what_is_around_it(site: Served) -> None:
    """A hit leads to the log from some lines before it; wrong numbers are said."""
    client = site.browser()
    text = client.get(f"/runs/{RUN}", params={"grep": "hundred 500"}).text
    assert "1 line found" in text
    assert f'href="/runs/{RUN}?grep=hundred+500&amp;hit=500#L500"' in text
    assert "hundred 500" in client.get(f"/runs/{RUN}", params={"from": "480"}).text
    for wrong in ("x", "-1", "9" * 400, "\u0663"):
        assert client.get(f"/runs/{RUN}", params={"from": wrong}).status_code == 422


def test_a_page_of_the_log_is_small(site: Served) -> None:
    """At most 600 elements in the viewer, however long the log is."""
    viewer = site.browser().get(f"/runs/{RUN}").text.partition('class="log')[2].partition("</ol>")[0]
    assert viewer.count("</") <= 600


def test_the_level_of_a_search_is_that_of_the_commands(root: Root) -> None:
    """The same lines as ``akjob logs --level``."""
    found = shown_log(LocalLog(root.paths, RUN), wanted(level="warning"))
    assert [line.seq for line in found.lines] == [
        line["seq"] for line in read.lines(root.paths, run=RUN, level="warning")
    ]


def test_a_hit_says_which_of_how_many_it_is(site: Served) -> None:
    """With the one before and the one after it; the lines around it are all there."""
    client = site.browser()
    text = client.get(f"/runs/{RUN}", params={"grep": "hundred", "hit": "500"}).text
    assert "Hit 5 of 10" in text
    assert f'href="/runs/{RUN}?grep=hundred&amp;hit=400#L400"' in text
    assert f'href="/runs/{RUN}?grep=hundred&amp;hit=600#L600"' in text
    assert "line 501" in text
    assert '<li id="L500" class="stdout hit">' in text


def test_a_plain_word_is_looked_for_in_the_bytes(root: Root) -> None:
    """Of a thousand lines those alone are decoded and looked at that may have it."""
    looked: list[int] = []
    plain = wanted(grep="hundred 500")

    def fits(line: dict[str, object]) -> bool:
        looked.append(int(str(line["seq"])))
        return plain.fits(line)

    found = shown_log(LocalLog(root.paths, RUN), replace(plain, fits=fits))
    assert [line.seq for line in found.lines] == [500]
    assert looked == [500, 1000]  # and the last one, which says how far the search came


def test_the_first_error_is_looked_for_a_moment(root: Root) -> None:
    """A page opens soon, however long the log is: where no error is found in time, at the end."""
    root.log(output(RUN, 1001, "bad", level="error"), output(RUN, 1002, "worse", level="critical"))
    assert first_error(LocalLog(root.paths, RUN)) == 1001
    ticks = count()
    assert first_error(LocalLog(root.paths, RUN), lambda: next(ticks)) is None


def test_the_first_error_is_looked_for_so_far(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    """In so many bytes: what stands further down is found by a search, and costs the page nothing."""
    root.log(output(RUN, 1001, "bad", level="error"))
    monkeypatch.setattr(logs, "_LOOK_BYTES", 10_000)
    monkeypatch.setattr(read, "_WINDOW", 1_000)
    assert first_error(LocalLog(root.paths, RUN)) is None
    monkeypatch.setattr(logs, "_LOOK_BYTES", 10_000_000)
    assert first_error(LocalLog(root.paths, RUN)) == 1001


def test_the_end_is_read_once(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a run that failed without an error in its log: its page shows it, and looks in it for a traceback."""
    asked: list[int] = []
    last = LocalLog.last

    def noted(own: LocalLog, count: int) -> list[read.Line]:
        asked.append(count)
        return last(own, count)

    monkeypatch.setattr(LocalLog, "last", noted)
    root.run("01m85ajwkd1sc8zz", "tick", -6, state="failed")
    root.log(output("01m85ajwkd1sc8zz", 1, "here"))
    with served(root) as site:
        text = site.token("admin").get("/runs/01m85ajwkd1sc8zz", headers={"Accept": "text/html"}).text
    assert 'id="L1"' in text
    assert asked == [200]
