"""The list of jobs and the page of one: what they say, for whom."""

import re

import pytest

from akjob.instants import DAY, HOUR, MINUTE, SECOND, to_text
from akjob.query import live as live_module
from akjob.spec.model import JobSpec
from tests.unit.cli.root import NOW_US, Root
from tests.unit.web.serving import Served

HOURLY = '[schedule]\nevery = "1h"\n'


def make(root: Root, name: str, text: str = HOURLY, **values: object) -> JobSpec:
    """Write a job, and put it into the ledger."""
    spec = root.job(name, f'command = "true"\n{text}' if "callable" not in text else text)
    assert spec is not None
    root.loaded(spec, **values)
    return spec


def ran(root: Root, run: str, job: str, minute: int, took_s: float = 1, **values: object) -> None:
    """Put a run into the ledger that began at its slot."""
    start_us = NOW_US + minute * MINUTE
    ended = {"started_us": start_us, "ended_us": start_us + round(took_s * SECOND)}
    root.run(run, job, minute, **({"state": "succeeded"} | ended | values))


def plain(html: str) -> str:
    """Return the text of a page."""
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def attention(site: Served, path: str = "/runs") -> list[tuple[str, str]]:
    """Return the strip of what needs attention: text and link."""
    text = site.browser().get(path).text.partition('id="attention"')[2].partition("<main")[0]
    return [(said, link.replace("&amp;", "&")) for link, said in re.findall(r'<a href="([^"]+)">([^<]+)</a>', text)]


class TestAttention:
    """What stands above every page; each leads to the list that shows it."""

    @pytest.fixture(autouse=True)
    def akjobd(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let akjobd run."""
        monkeypatch.setattr("akjob.query.sight.lock_holder", lambda _file: 1)
        monkeypatch.setattr("akjob.web.pages.rendering.lock_holder", lambda _file: 1)
        monkeypatch.setattr(live_module, "lock_holder", lambda _file: 1)

    def test_nothing_where_all_is_well(self, root: Root, site: Served) -> None:
        """The strip is absent."""
        make(root, "a")
        assert attention(site) == []

    def test_late_and_long_and_failed(self, root: Root, site: Served) -> None:
        """By how much; the links show these jobs alone."""
        make(root, "late")
        root.run("01m8late", "late", -4)
        make(root, "long")
        for number in range(5):
            ran(root, f"01m8long{number}", "long", -60 * (number + 1), took_s=20)
        root.run("01m8long9", "long", -2, state="running", started_us=NOW_US - 2 * MINUTE)
        make(root, "bad", last_state="failed", last_run="x", last_ended_us=NOW_US)
        found = dict(attention(site))
        assert found == {
            "1 job failed": "/?state=failed",
            "1 late by 4 min": "/?q=late:",
            "1 running 6× its usual": "/?q=slow:3+state:running",
        }
        client = site.browser()
        for said, job in (("1 job failed", "bad"), ("1 late by 4 min", "late"), ("1 running 6× its usual", "long")):
            rows = re.findall(r'<tr id="row-([^"]+)"', client.get(found[said]).text)
            assert rows == [job], said

    def test_a_broken_file_with_since_author_and_commit(self, root: Root, site: Served) -> None:
        """As git has it; what is not committed is said to be so."""
        make(root, "a")
        root.job("bad", 'command = "x"\nevry = 1\n')
        commit = root.commit()
        (said, link), *more = attention(site)
        assert (more, link) == ([], "/broken")
        assert re.fullmatch(rf"1 file broken since .* by x \({commit[:8]}\)", said), said
        root.job("bad", 'command = "x"\nevry = 2\n')
        site.clock.now_us += MINUTE
        (said, _), *_ = attention(site)
        assert said.endswith(f"(not committed, after {commit[:8]})")


def test_akjobd_that_is_down_is_said_with_its_last_lines(root: Root, site: Served) -> None:
    """When there was a last sign of it, what it logged, how to start it; the log is for those who may see all jobs."""
    make(root, "a")
    at = to_text(NOW_US - 20 * SECOND)
    root.log(
        {"timestamp": at, "level": "error", "event": "ledger.full", "source": "akjobd"},
        {"timestamp": at, "level": "info", "event": "other.program", "source": "akjob-notify"},
    )
    text = plain(site.browser().get("/").text)
    assert "akjobd does not run: nothing starts. There was a last sign of it 20 s ago" in text
    assert "supervisorctl start akjobd" in text
    assert "ledger.full" in text
    assert "other.program" not in text
    assert "ledger.full" not in site.token("read", jobs="a").get("/").text


class TestList:
    """The table of jobs."""

    def test_slots_that_succeeded_and_a_run_that_took_long(self, root: Root, site: Served) -> None:
        """Of thirty days; n of m slots, and how many times the usual."""
        make(root, "a", last_state="succeeded", last_run="01m8a9", last_ended_us=NOW_US)
        for number in range(4):
            ran(
                root,
                f"01m8a{number}",
                "a",
                -60 * (number + 2),
                took_s=2,
                state="failed" if number == 3 else "succeeded",
            )
        ran(root, "01m8a9", "a", -60, took_s=12)
        ran(root, "01m8a8", "a", -60 * 24 * 31, took_s=2)
        text = site.browser().get("/").text
        assert '<span title="4 of 5 slots succeeded since 2026-03-28 07:00 UTC">4/5</span>' in text
        assert "▲ 6×" in text
        assert re.findall(r'id="row-(.+?)"', site.browser().get("/?q=slow:").text) == ["a"]
        assert re.findall(r'id="row-(.+?)"', site.browser().get("/?q=slow:7").text) == []

    def test_a_slot_without_a_row_is_overdue(self, root: Root, site: Served) -> None:
        """The mark is behind: akjobd has not come to it; a pause is none."""
        make(root, "a", watermark_us=NOW_US - 2 * HOUR)
        make(root, "b", watermark_us=NOW_US - 2 * HOUR, paused_at_us=NOW_US, pause_reason="move", paused_by="ada")
        text = plain(site.browser().get("/").text)
        assert text.count("overdue") == 1
        assert "paused by ada: move" in text

    def test_every_column_sorts_both_ways(self, root: Root, site: Served) -> None:
        """The header says which; the others keep the search."""
        for number, name in enumerate("ab"):
            make(root, name, last_state="succeeded", last_run=f"r{name}", last_ended_us=NOW_US - number * HOUR)
            ran(root, f"r{name}", name, -60, took_s=number + 1)
        client = site.browser()
        for sort, names in {
            "": "ab", "job": "ab", "-job": "ba", "last": "ab", "-last": "ba", "took": "ba", "-took": "ab",
            "state": "ab", "-state": "ba", "next": "ab", "schedule": "ab", "-schedule": "ba", "nonsense": "ab",
        }.items():  # fmt: skip
            text = client.get("/", params={"sort": sort}).text
            assert "".join(re.findall(r'id="row-(.)"', text)) == names, sort
        text = client.get("/", params={"sort": "last", "q": "a"}).text
        assert 'aria-sort="ascending"><a href="/?q=a&amp;sort=-last"' in text
        assert 'aria-sort="descending"' in client.get("/", params={"sort": "-last"}).text

    def test_no_match_names_each_word_with_a_way_to_drop_it(self, root: Root, site: Served) -> None:
        """The rest of the search stays."""
        make(root, "a")
        text = site.browser().get("/", params={"q": "zzz tag:x", "state": "ready"}).text
        assert "No job fits all of these" in plain(text)
        for without in ("q=tag%3Ax&amp;state=ready", "q=zzz&amp;state=ready", "q=zzz+tag%3Ax"):
            assert f'href="/?{without}"' in text

    def test_folders_show_the_worst_below_them(self, root: Root, site: Served) -> None:
        """Folder by folder, with counts; a glob sees its own."""
        make(root, "x/y/bad", last_state="failed", last_run="r", last_ended_us=NOW_US)
        make(root, "x/fine", last_state="succeeded", last_run="r", last_ended_us=NOW_US)
        make(root, "z/hidden")
        client = site.browser()
        top = client.get("/", params={"folder": ""}).text
        assert re.findall(r'\?folder=([a-z/]+)"', top) == ["x", "z"]
        assert re.search(r"x/ ✗ failed 2", plain(top)), plain(top)
        assert "1 failed, 1 succeeded" in plain(top) or "1 succeeded, 1 failed" in plain(top)
        inner = client.get("/", params={"folder": "x"}).text
        assert re.findall(r'id="row-([^"]+)"', inner) == ["x/fine"]
        assert "all 2 below this folder" in plain(inner)
        assert "z/" not in site.token("read", jobs="x/**").get("/", params={"folder": ""}).text

    def test_jobs_of_a_commit(self, root: Root, site: Served) -> None:
        """Those of whose files it touched any, a _defaults.toml among them."""
        make(root, "f/a")
        root.commit()
        make(root, "f/b")
        root.git("add", "jobs.d")
        root.git("commit", "-qm", "y")
        second = root.git("rev-parse", "HEAD")
        (root.paths.jobs_d / "f" / "_defaults.toml").write_text('tags = ["x"]\n')
        root.git("add", "jobs.d")
        root.git("commit", "-qm", "z")
        third = root.git("rev-parse", "HEAD")
        client = site.browser()
        found = {
            commit: re.findall(r'id="row-([^"]+)"', client.get("/", params={"q": f"commit:{commit[:7]}"}).text)
            for commit in (second, third, "0" * 40)
        }
        assert found == {second: ["f/b"], third: ["f/a", "f/b"], "0" * 40: []}
        assert client.get("/", params={"q": "commit:--help"}).status_code == 422

    def test_names_and_slots_are_those_that_may_be_known(self, root: Root, site: Served) -> None:
        """What a page fetches besides."""
        make(root, "mine/a")
        make(root, "theirs/b")
        ran(root, "01m8a", "mine/a", -60)
        mine = site.token("read", jobs="mine/*")
        assert mine.get("/names").json()["names"] == ["mine/a"]
        assert [one["run"] for one in mine.get("/strip/mine/a").json()] == ["01m8a"]
        assert mine.get("/strip/mine/a").json()[0]["said"].startswith("2026-03-28 11:00:00 UTC succeeded after 1 s")
        assert mine.get("/strip/theirs/b").status_code == 404


class TestJob:
    """The page of one job."""

    def test_what_is_to_come_says_what_is_known(self, root: Root, site: Served) -> None:
        """A pause, and a run that may overlap; now stands between future and past."""
        make(root, "a")
        make(root, "b", HOURLY, paused_at_us=NOW_US, pause_reason="move", paused_by="ada")
        for number in range(10):
            ran(root, f"01m8a{number}", "a", -60 * (number + 2), took_s=4000)
        text = site.browser().get("/jobs/a").text
        table = plain(text.partition('aria-label="Slots"')[2])
        assert "may overlap the next slot: one of twenty takes 1 h 6 min, the gap is 1 h" in table
        assert table.index("coming") < table.index("now ·") < table.index("succeeded")
        table = plain(site.browser().get("/jobs/b").text.partition('aria-label="Slots"')[2])
        assert table.count("the job is paused by ada until it is resumed: move") == 5

    def test_days_that_are_excluded_are_listed(self, root: Root, site: Served) -> None:
        """With the key that excludes them."""
        make(root, "a", "[schedule]\ndaily = 06:00:00\n[limits]\nexcept_dates = [2026-03-30]\n")
        table = plain(site.browser().get("/jobs/a").text.partition('aria-label="Slots"')[2])
        assert re.search(r"2026-03-30 06:00:00 UTC .{0,4}excluded limits.except_dates does not allow it", table), table

    def test_charts_and_days(self, root: Root, site: Served) -> None:
        """Drawn by the server: levels, marks where the definition changed, days by outcome with their numbers."""
        make(root, "a")
        usage = {"user_cpu_s": 0.5, "system_cpu_s": 0.1, "max_rss_bytes": 1 << 20}
        for number in range(20):
            state = "failed" if number == 3 else "succeeded"
            definition = {"definition_sha256": "one" if number < 10 else "two"}
            ran(
                root,
                f"01m8a{number:02}",
                "a",
                -60 * (number + 1),
                took_s=number + 1,
                state=state,
                **usage,
                **definition,
            )
        text = site.browser().get("/jobs/a").text
        label = re.findall(r'class="chart"[^>]*aria-label="([^"]+)"', text)
        assert label[0].startswith("Durations of the newest 20 runs: p50 11 s, p95 19 s, timeout 1 h")
        assert [one.partition(" of ")[0] for one in label] == ["Durations", "CPU", "Peak memory"]
        assert text.count('class="turn" d="M') == 3
        assert text.partition('class="turn" d="')[2].partition('"')[0].count("M") == 1
        assert 'aria-label="90 days: 1 slots did not succeed"' in text
        assert "2026-03-28 1" in plain(text.partition("on which not all succeeded")[2])

    def test_the_head_says_who_changed_the_file(self, root: Root, site: Served) -> None:
        """Commit, author, age; what is not committed is said to be so."""
        make(root, "a")
        commit = root.commit()
        client = site.browser()
        head = plain(client.get("/jobs/a").text)
        assert f"jobs.d/a.toml · {commit[:8]} “x” by x" in head
        assert "not committed" not in head
        make(root, "a", 'description = "new"\n')
        site.clock.now_us += MINUTE
        assert "not committed: jobs.d/a.toml" in plain(client.get("/jobs/a").text)

    def test_the_form_is_that_of_the_function(self, root: Root, site: Served) -> None:
        """Types, defaults, choices and words from the source, values from the file; the same as a command line."""
        (root.paths.root / "shop.py").write_text(
            "from typing import Literal\n"
            'def mail(region: str, days: int = 7, kind: Literal["pdf", "csv"] = "pdf"):\n'
            '    """Mail it.\n\n    Args:\n        region: part of the <world>\n    """\n'
        )
        make(root, "a", 'callable = "shop:mail"\nkwargs = { region = "emea" }\n')
        text = site.browser().get("/jobs/a").text
        form = text.partition('id="with-arguments"')[2].partition("</details>")[0]
        assert 'name="text:region" value="emea"' in form
        assert "part of the &lt;world&gt;" in form
        assert 'name="arg:days" value="" inputmode="numeric"' in form
        assert "= <code>7</code> unless given" in form
        assert re.findall(r"<option[^>]*>([^<]+)", form) == ["as its default", "&#34;pdf&#34;", "&#34;csv&#34;"]
        assert "akjob run a --arg region=emea" in form


class TestDefinition:
    """Where each value comes from, and what changed."""

    def test_each_value_has_its_file(self, root: Root, site: Served) -> None:
        """The job's own, the nearest _defaults.toml, or akjob itself."""
        (root.paths.jobs_d / "f").mkdir()
        (root.paths.jobs_d / "_defaults.toml").write_text('owner = "all"\n[run]\ntimeout = "5m"\n')
        (root.paths.jobs_d / "f" / "_defaults.toml").write_text('[run]\ntimeout = "7m"\n')
        root.job("f/a", f'command = "true"\n{HOURLY}')
        text = site.browser().get("/definition/f/a").text
        rows = {
            key: (value, origin)
            for key, value, origin in re.findall(
                r'<th scope="row"><code>([^<]+)</code></th><td class="value"><code>([^<]*)</code></td>'
                r'<td class="small">([^<]+)</td>',
                text,
            )
        }
        assert rows == {
            "owner": ("&#34;all&#34;", "jobs.d/_defaults.toml"),
            "command": ("&#34;true&#34;", "jobs.d/f/a.toml"),
            "schedule.every": ("&#34;1h&#34;", "jobs.d/f/a.toml"),
            "run.timeout": ("&#34;7m&#34;", "jobs.d/f/_defaults.toml"),
        }
        assert "run.overlap" in text.partition("values are those of akjob itself")[2]

    def test_versions_that_ran_are_compared_and_downloaded(self, root: Root, site: Served) -> None:
        """Only those of this job's runs."""
        old = make(root, "a", 'description = "old"\n')
        ran(root, "01m8a1", "a", -60, definition_sha256=old.sha256)
        other = make(root, "b", 'description = "other"\n')
        ran(root, "01m8b1", "b", -60, definition_sha256=other.sha256)
        new = make(root, "a", 'description = "new"\n')
        client = site.browser()
        text = client.get("/definition/a", params={"against": old.sha256}).text
        diff = text.partition('class="diff">')[2]
        assert '<span class="del">-description = &#34;old&#34;</span>' in diff
        assert '<span class="add">+description = &#34;new&#34;</span>' in diff
        assert client.get("/definition.toml/a").text == new.definition
        assert client.get("/definition.toml/a", params={"sha256": old.sha256}).text == old.definition
        for path in ("/definition/a?against=", "/definition.toml/a?sha256="):
            assert client.get(path + other.sha256).status_code == 404


def test_a_page_of_one_job_reads_a_bounded_number_of_rows(root: Root, site: Served) -> None:
    """Of ninety days those that are among the newest rows; before them the map is empty, and it is said."""
    make(root, "a")
    ran(root, "01m8a1", "a", -60, count=5000, state="missed", slot_last_us=NOW_US + DAY)
    text = plain(site.browser().get("/jobs/a").text)
    assert "The newest 5,000 rows are counted: days before 2026-03-28 are empty here" in text


def test_a_schedule_has_a_zone_where_its_words_mean_a_clock(root: Root, site: Served) -> None:
    """Not after words that need none; never twice."""
    make(root, "hourly")
    make(root, "by-hand", "")
    make(root, "daily", '[schedule]\ntimezone = "Asia/Tokyo"\ndaily = 09:00:00\n')
    make(root, "workdays", '[schedule]\ntimezone = "Asia/Tokyo"\nevery = "1h"\n[limits]\nweekdays = ["mon"]\n')
    text = site.browser().get("/").text
    cells = dict(re.findall(r'id="row-([^"]+)".*?<td class="small soft hide">(.*?)</td>', text, re.DOTALL))
    assert plain(cells["hourly"]) == "every hour"
    assert plain(cells["by-hand"]) == "by hand only"
    assert plain(cells["daily"]) == "every day at 09:00 Asia/Tokyo"
    assert plain(cells["workdays"]) == "every hour; only on a Monday Asia/Tokyo"
