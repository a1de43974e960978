"""Tables that many jobs have alike are read once, and what is said of them is said of each job."""

import pytest

from akjob.config import Config
from akjob.instants import from_text
from akjob.spec import parse, parse_defaults, parse_jobs


def test_equal_tables_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs whose ``[schedule]``, ``[limits]`` and ``[run]`` are equal share what they came to, in whatever layout."""
    config = Config()
    tables = '[schedule]\ndaily = 09:00:00\n[limits]\nweekdays = ["mon"]\n[run]\ntimeout = "5m"\n'
    one = parse_jobs("one", "jobs.d/one.toml", f'command = "true"\n{tables}', config=config)[0].spec
    monkeypatch.setattr(parse, "_read_schedule", None)
    monkeypatch.setattr(parse, "_laid_over", None)
    moved = '[run]\ntimeout   = "5m"\n\n[limits]\nweekdays = [ "mon" ] # as all\n[schedule]\ndaily = 09:00:00\n'
    other = parse_jobs("other", "jobs.d/other.toml", f'command = "false"\n{moved}', config=config)[0].spec
    assert one is not None
    assert other is not None
    assert other.schedule is one.schedule
    assert other.run is one.run
    assert (other.name, other.definition) == ("other", one.definition.replace('"true"', '"false"'))


@pytest.mark.parametrize(
    ("tables", "code"),
    [
        ("[schedule]\nanchor = 2026-01-01T00:00:00Z\n", "no-effect"),
        ("[schedule]\nat = 2020-01-01T00:00:00Z\n", "in-the-past"),
        ("[schedule]\ndaily = 09:00:00\nevry = 1\n", "unknown-key"),
        ('[run]\npool = "none"\n', "unknown-pool"),
    ],
)
def test_what_is_wrong_is_told_of_every_job(tables: str, code: str) -> None:
    """Tables with something to say about them are read for each job that has them."""
    config = Config()
    now_us = from_text("2026-11-30T00:00:00Z")
    for name in ("one", "other"):
        found = parse_jobs(name, f"jobs.d/{name}.toml", f'command = "true"\n{tables}', config=config, now_us=now_us)
        assert [(problem.file, problem.code) for problem in found[0].problems] == [(f"jobs.d/{name}.toml", code)]


def test_what_passes_is_asked_again() -> None:
    """A time to come has passed at a later look; below other defaults a table means something else."""
    config = Config()
    text = 'command = "true"\n[schedule]\nat = 2026-12-01T00:00:00Z\n'
    codes = []
    for now in ("2026-11-30T00:00:00Z", "2026-12-02T00:00:00Z"):
        found = parse_jobs("one", "jobs.d/one.toml", text, config=config, now_us=from_text(now))
        codes.append([problem.code for problem in found[0].problems])
    assert codes == [[], ["in-the-past"]]
    berlin = parse_defaults("jobs.d/_defaults.toml", '[schedule]\ntimezone = "Europe/Berlin"\n')
    text = 'command = "true"\n[schedule]\ndaily = 09:00:00\n'
    zones = []
    for defaults in ((), (berlin,), ()):
        spec = parse_jobs("one", "jobs.d/one.toml", text, config=config, defaults=defaults)[0].spec
        assert spec is not None
        zones.append(spec.schedule.zone)
    assert zones == ["UTC", "Europe/Berlin", "UTC"]
