"""The plan's page: the coming slots, and simulations in a child of their own."""

import re
import threading
import time
from urllib.parse import urlencode

import httpx
import pytest

from akjob.web import simulator
from tests.support import until
from tests.unit.cli.root import Root
from tests.unit.web.serving import Served, served

DAILY = 'command = "x"\n[schedule]\ntimezone = "Europe/Berlin"\ndaily = [02:30:00, 09:00:00]\n'
HOURLY = 'command = "x"\n[schedule]\nevery = "1h"\n'


def page(client: httpx.Client, **fields: str) -> str:
    """Return the text of the page with a simulation."""
    fields = {name.removesuffix("_"): text for name, text in fields.items()}
    answer = client.get("/plan?" + urlencode({"simulate": "1", **fields}))
    assert answer.status_code == 200, answer.text
    assert "style=" not in answer.text
    return re.sub(r"\s+", " ", answer.text)


def tiles(text: str) -> dict[str, int]:
    """Return the numbers of the tiles by their words."""
    return {word: int(count) for count, word in re.findall(r'class="tile"><b>(\d+)</b>([^<]+)<', text)}


def test_a_simulation_has_slots_load_downtimes_and_clock_changes(site: Served) -> None:
    """All that it comes to, and the same as a command line."""
    site.root.job("daily", DAILY)
    site.root.job("tick", HOURLY + '[run]\nmissed = "all"\nmissed_within = "2h"\n')
    text = page(
        site.token(), until="2d", down="2026-03-28T13:30:00Z..2026-03-28T18:30:00Z", takes="tick=90m", machines="2"
    )
    counted = tiles(text)
    assert counted["slots"] == sum(counted[word] for word in ("succeed", "fail", "are skipped", "are missed")) + 1
    assert counted["are missed"] > 0
    command = "akjob simulate --until 2d --machines 2 --down 2026-03-28T13:30:00Z..2026-03-28T18:30:00Z"
    assert f"<code>{command} --takes tick=90m</code>" in text
    assert "akjobd is down from" in text
    assert re.search(r"<dt>tick</dt><dd>\d made up for, \d missed \(", text)
    assert "on 2026-03-29 the clock jumps from 02:00 to 03:00" in text
    assert 'class="outlook"' in text
    assert 'class="b-running"' in text


def test_two_revisions_side_by_side(site: Served) -> None:
    """What is gained, lost and moved from a commit to the work tree, and how many slots each has."""
    site.root.git("init", "-q", "-b", "main")
    site.root.job("daily", DAILY)
    site.root.job("tick", HOURLY)
    site.root.git("add", ".")
    site.root.git("commit", "-qm", "jobs")
    site.root.job("daily", DAILY.replace("09:00:00", "10:00:00"))
    site.root.job("tick", HOURLY.replace("1h", "2h"))
    text = page(site.token(), until="1d", rev=".", against="main")
    assert "<code>akjob diff main --days 1</code>" in text
    assert re.search(r'href="/jobs/tick">tick</a></th><td>12<br>', text)
    assert "11:00:00 CEST" not in text.partition("Slots gained")[2].partition("<h2>")[0]
    assert re.search(r"2026-03-29 09:00:00 CEST</time> → <time [^>]*>2026-03-29 10:00:00 CEST", text)
    assert text.count('class="outlook"') == 2
    assert "is not a revision" in page(site.token(), against="nope")
    assert "is not a revision" in page(site.token(), rev="--output=/tmp/x")


def test_what_a_token_may_not_see_is_not_simulated(site: Served) -> None:
    """No name, no count, no reason of it; what is pretended of it is not there."""
    site.root.job("mine/a", HOURLY + '[run]\nlock = "x"\n')
    site.root.job("theirs/b", HOURLY + '[run]\nlock = "x"\n')
    seen = site.token(jobs="mine/*")
    text = page(seen, until="5h", takes="mine/a=20m")
    assert tiles(text)["slots"] == 5
    assert "theirs" not in text
    assert "there is no job &#39;theirs/b&#39;" in page(seen, fail="theirs/b")
    assert tiles(page(site.token(), until="5h"))["slots"] == 10


def test_what_is_too_much_is_ended_and_said(site: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A simulation without an end takes its share of the processor, and no other request waits for it."""
    for number in range(40):
        site.root.job(f"j{number}", 'command = "x"\n[schedule]\nevery = "1s"\n')
    monkeypatch.setattr(simulator, "WALL_S", 6.0)
    client, told = site.token(), list[str]()
    asking = threading.Thread(target=lambda: told.append(page(client, until="90d")))
    asking.start()
    other, answered = site.token(), 0
    while asking.is_alive():
        began = time.monotonic()
        assert other.get("/plan?until=6h").status_code == 200
        assert time.monotonic() - began < 5.0
        answered += 1
    asking.join()
    assert answered >= 1
    assert "needs more than 20 s of computing or 1 GiB" in told[0]


def test_a_simulation_ends_with_akjob_web(root: Root) -> None:
    """Whoever stops the program does not wait for it."""
    for number in range(40):
        root.job(f"j{number}", 'command = "x"\n[schedule]\nevery = "1s"\n')
    with served(root) as site:
        client = site.token()
        done: list[int] = []

        def ask() -> None:
            try:
                done.append(client.get("/plan?simulate=1&until=90d").status_code)
            except httpx.HTTPError:
                done.append(0)

        asking = threading.Thread(target=ask)
        asking.start()
        here = site.site
        assert here is not None
        until(here.simulations.is_busy)
        began = time.monotonic()
    until(lambda: bool(done))
    asking.join()
    assert time.monotonic() - began < simulator.WALL_S / 4


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"until": "91d"}, "a plan covers at most 90 days"),
        ({"until": "x"}, "--until: &#39;x&#39; is neither a time nor a duration"),
        ({"down": "x"}, "--down x: this is not A..B"),
        ({"fail": "nope"}, "there is no job &#39;nope&#39;"),
        ({"takes": "tick=x"}, "--takes tick=x"),
    ],
)
def test_what_is_wrong_is_said_in_place(site: Served, fields: dict[str, str], said: str) -> None:
    """With the form as it was filled in."""
    site.root.job("tick", HOURLY)
    text = page(site.token(), **fields)
    assert said in text
    for value in fields.values():
        assert f'value="{value}"' in text


@pytest.mark.parametrize("field", ["machines=0", "machines=x", "machines=1001", "seed=-1", f"down={'a..b,' * 21}"])
def test_bounds_of_the_fields(site: Served, field: str) -> None:
    """A number out of its bounds, or too many of something, is refused."""
    assert site.token().get(f"/plan?simulate=1&{field}").status_code == 422
