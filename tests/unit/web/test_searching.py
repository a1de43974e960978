"""What is typed to search jobs."""

import pytest

from akjob.instants import DAY, HOUR
from akjob.query.sight import JobFilter
from akjob.web.pages.searching import WORDS, filter_of
from akjob.web.pages.summary import FAILED
from akjob.web.problems import ProblemError
from tests.unit.cli.root import NOW_US, Root
from tests.unit.web.serving import Served


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("", JobFilter()),
        ("night db", JobFilter(part="night db")),
        ("tag:db tag:x sales", JobFilter(part="sales", tags=("db", "x"))),
        ("state:failed", JobFilter(shown=FAILED)),
        ("owner:data", JobFilter(owner="data")),
        ("next:<1h", JobFilter(next_within_us=HOUR)),
        ("last:<1h", JobFilter(ended_within_us=HOUR)),
        ("last:>1d", JobFilter(ended_before_us=DAY)),
        ("a:b", JobFilter(part="a:b")),
    ],
)
def test_words_narrow_the_list(typed: str, wanted: JobFilter) -> None:
    """Each word is a condition, and what is not a word is a part of the name."""
    assert filter_of(typed) == wanted


def test_a_chosen_state_is_a_condition_besides() -> None:
    """Both have to fit."""
    assert filter_of("state:failed", "lost").shown == frozenset({"lost"})
    assert filter_of("state:paused", "failed").shown == frozenset()


@pytest.mark.parametrize("typed", ["next:", "next:<soon", "last:>1x"])
def test_a_wrong_value_is_said(typed: str) -> None:
    """With what to write."""
    with pytest.raises(ProblemError) as found:
        filter_of(typed)
    assert "is not a duration" in found.value.problem.detail


def test_the_examples_are_words() -> None:
    """What the page lists is what is understood."""
    assert all(filter_of(example).part is None for example in WORDS)


def test_the_page_finds_by_all_of_them(root: Root, site: Served) -> None:
    """In a folder with one job of each kind."""
    hourly = '[schedule]\nevery = "1h"\n'
    for name, text, values in (
        ("a/db-failed", f'command = "x"\ntags = ["db"]\nowner = "the data team"\n{hourly}', {"last_state": "failed"}),
        ("a/db-old", f'command = "x"\ntags = ["db"]\n{hourly}', {"last_ended_us": NOW_US - 2 * DAY}),
        ("b/yearly", 'command = "x"\n[schedule]\nevery = "300d"\n', {}),
    ):
        spec = root.job(name, text)
        assert spec is not None
        root.loaded(spec, **{"last_state": "succeeded", "last_run": "01m8", "last_ended_us": NOW_US, **values})
    client = site.token("read")

    def found(typed: str) -> list[str]:
        text = client.get("/", params={"q": typed}).text
        return [name for name in ("db-failed", "db-old", "yearly") if f'/{name}">' in text]

    assert found("a db") == ["db-failed", "db-old"]
    assert found("tag:db state:failed") == found("owner:data") == ["db-failed"]
    assert found("last:>1d") == ["db-old"]
    assert found("next:<2h") == ["db-failed", "db-old"]
    assert client.get("/", params={"q": "next:<x"}).status_code == 422
