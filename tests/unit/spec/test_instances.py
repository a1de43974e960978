"""One file for several jobs: merging, names, and where their mistakes are reported."""

from pathlib import Path

import pytest

from akjob.config import Config
from akjob.errors import AkjobError
from akjob.spec import JobSpec, delete_instance, edit_instance, parse_defaults, parse_job, parse_jobs, parse_rest
from akjob.spec.model import Command, DottedCallable

COMMON = """\
callable = "imports.load:main"
kwargs = { dry_run = false, region = "none" }
tags = ["import"]
[schedule]
daily = 02:00:00
[run]
timeout = "5m"
env = { A = "common", B = "common" }
"""


def jobs(text: str) -> dict[str, JobSpec]:
    """Parse a file of which nothing is wrong."""
    results = parse_jobs("import", "jobs.d/import.toml", text)
    assert [problem for result in results for problem in result.problems] == []
    return {result.name: result.spec for result in results if result.spec is not None}


def said(text: str) -> list[str]:
    """Return the names that a file gives, with the places and codes of what is wrong with them."""
    return [
        " ".join([result.name, *(f"{one.line}:{one.column}:{one.code}" for one in result.problems)])
        for result in parse_jobs("import", "jobs.d/import.toml", text)
    ]


def test_a_name_is_enough() -> None:
    """With an array of names the instances are alike, and there is no job of the file's own name."""
    found = jobs('instances = ["emea", "apac"]\n' + COMMON)
    assert list(found) == ["import@emea", "import@apac"]
    one, other = found.values()
    assert one.definition == other.definition == jobs(COMMON)["import"].definition
    assert one.file == other.file == "jobs.d/import.toml"


def test_the_nearest_wins_key_by_key_and_env_and_kwargs_are_merged() -> None:
    """Values are whole, tables of keys are not; what is not said is the file's."""
    text = COMMON + (
        '[instances.emea]\nkwargs = { region = "emea" }\ntags = ["eu"]\nenabled = false\n'
        '[instances.emea.schedule]\ntimezone = "Europe/Berlin"\n'
        '[instances.emea.run]\nenv.A = "emea"\nnice = 5\n'
        "[instances.apac]\n"
    )
    found = jobs(text)
    emea, apac = found["import@emea"], found["import@apac"]
    assert emea.kwargs == {"dry_run": False, "region": "emea"}
    assert emea.tags == ("eu",)
    assert not emea.enabled
    assert emea.run.env == {"A": "emea", "B": "common"}
    assert (emea.run.timeout_us, emea.run.nice) == (300_000_000, 5)
    assert emea.schedule.zone == "Europe/Berlin"
    assert emea.schedule.daily is not None
    assert apac.schedule.daily is not None
    assert emea.schedule.daily.times == apac.schedule.daily.times
    assert (apac.kwargs["region"], apac.schedule.zone, apac.enabled) == ("none", "UTC", True)


def test_an_instance_may_run_something_else() -> None:
    """What it says to run replaces what the file says; a command takes no arguments of a callable along."""
    found = jobs(COMMON + '[instances.a]\ncommand = ["true"]\n[instances.b]\ncallable = "x:y"\n')
    assert found["import@a"].code == Command(("true",), None)
    assert found["import@a"].kwargs == {}
    assert found["import@b"].code == DottedCallable("x:y")
    assert found["import@b"].kwargs["region"] == "none"


def test_the_file_need_not_say_what_to_run() -> None:
    """An instance without anything to run is the one that is wrong."""
    text = '[schedule]\nevery = "1h"\n[instances.a]\ncommand = "true"\n[instances.b]\n'
    assert said(text) == ["import@a", "import@b 5:1:no-code"]


def test_defaults_are_below_the_file() -> None:
    """The order is _defaults.toml, the file, the instance."""
    defaults = parse_defaults("jobs.d/_defaults.toml", '[run]\nnice = 1\ncwd = "a"\nlock = "l"\n')
    text = 'command = "true"\n[run]\nnice = 2\ncwd = "b"\n[instances.x.run]\nnice = 3\n'
    [result] = parse_jobs("j", "jobs.d/j.toml", text, defaults=[defaults], config=Config())
    assert result.spec is not None
    run = result.spec.run
    assert (run.nice, run.cwd, run.lock) == (3, "b", "l")
    [problem] = parse_defaults("jobs.d/_defaults.toml", 'instances = ["a"]\n').problems
    assert problem.code == "not-in-defaults"


def test_a_mistake_in_an_instance_costs_that_one_and_is_reported_there() -> None:
    """The line is that of the instance's own key; the other is loaded."""
    text = COMMON + "[instances.a]\n[instances.a.run]\nnice = 77\n[instances.b.run]\nnice = 7\n"
    assert said(text) == ["import@a 11:8:out-of-range", "import@b"]
    problem = parse_jobs("import", "jobs.d/import.toml", text)[0].problems[0]
    assert problem.key == "instances.a.run.nice"


def test_a_common_mistake_costs_all_and_is_one_problem() -> None:
    """Each of them is refused, for the very same problem."""
    results = parse_jobs("import", "jobs.d/import.toml", COMMON + "nise = 5\n[instances.a]\n[instances.b]\nowner = 1\n")
    assert [result.spec for result in results] == [None, None]
    [one] = results[0].problems
    assert (one.line, one.code) == (9, "unknown-key")
    assert results[1].problems[0] == one
    assert results[1].problems[1].line == 12


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('instances = ["a", "b d"]\ncommand = "x"\n', ["import@a", "import@b d 1:19:bad-name"]),
        ('instances = ["a", "a"]\ncommand = "x"\n', ["import@a", "import@a-2 1:19:duplicate-instance"]),
        ('instances = ["a", 3]\ncommand = "x"\n', ["import@a", "import@3 1:19:wrong-type"]),
        ('instances = "a"\ncommand = "x"\n', ["import 1:13:wrong-type"]),
        ('instances = []\ncommand = "x"\n', ["import 1:1:empty-list"]),
        ('command = "x"\n[instances]\n', ["import 2:2:empty-list"]),
        ('command = "x"\n[instances]\na = 1\n[instances.b]\n', ["import@a 3:5:wrong-type", "import@b"]),
        ('command = "x"\n[instances.a]\ninstances = ["b"]\n', ["import@a 3:1:nested-instances"]),
        ('command = "x"\n[instances."a/b"]\n', ["import@a/b 2:12:bad-name"]),
        ("command = \n[instances.a]\n", ["import 1:11:toml-syntax"]),
    ],
)
def test_wrong_instances(text: str, found: list[str]) -> None:
    """What is wrong with one costs one; what is wrong with the whole costs the file."""
    assert said(text) == found


def test_at_most_a_thousand() -> None:
    """A thousand are read; one more is refused as a whole."""
    names = ", ".join(f'"n{number}"' for number in range(1000))
    assert len(jobs(f'instances = [{names}]\ncommand = "x"\n')) == 1000
    assert said(f'instances = [{names}, "m"]\ncommand = "x"\n') == ["import 1:1:too-many-instances"]


def test_done_instances_keep_their_file() -> None:
    """One of several that is done cannot take the file along."""
    [result] = parse_jobs("j", "j.toml", 'instances = ["a"]\ncommand = "x"\n[limits]\nruns = 1\nwhen_done = "delete"\n')
    assert result.spec is not None
    assert result.spec.when_done == "keep"
    assert [problem.code for problem in result.problems] == ["no-effect"]


def test_what_is_right_of_a_refused_instance_is_known() -> None:
    """So that its code and files are looked at all the same."""
    text = COMMON + '[instances.a]\ncallable = "other:main"\nnise = 1\n'
    rest = parse_rest("import@a", "jobs.d/import.toml", text)
    assert rest is not None
    assert rest.spec.code == DottedCallable("other:main")
    assert parse_rest("import@none", "jobs.d/import.toml", text) is None


def test_one_job_is_read_as_ever() -> None:
    """A file without instances gives the same either way."""
    [result] = parse_jobs("a", "jobs.d/a.toml", COMMON)
    assert result.spec == parse_job("a", "jobs.d/a.toml", COMMON).spec


def test_a_key_of_an_instance_is_edited_in_its_table(tmp_path: Path) -> None:
    """Comments stay, other instances too."""
    file = tmp_path / "a.toml"
    file.write_text('command = "x"  # what\n[instances.a]\n# mine\nowner = "me"\n[instances.b]\n')
    edit_instance(file, "a", {"enabled": False})
    edit_instance(file, "b", {"enabled": False})
    edit_instance(file, "a", {"enabled": True})
    assert "# mine\n" in file.read_text()
    results = parse_jobs("a", "a.toml", file.read_text())
    assert [result.spec is not None and result.spec.enabled for result in results] == [True, False]


def test_a_list_of_names_becomes_tables_when_one_is_edited(tmp_path: Path) -> None:
    """There is no other place for the key."""
    file = tmp_path / "a.toml"
    file.write_text('instances = ["a", "b"]\n# what\ncommand = "x"\n[run]\nnice = 1\n')
    edit_instance(file, "b", {"enabled": False})
    assert "# what" in file.read_text()
    results = parse_jobs("a", "a.toml", file.read_text())
    assert [(one.name, one.spec and (one.spec.enabled, one.spec.run.nice)) for one in results] == [
        ("a@a", (True, 1)),
        ("a@b", (False, 1)),
    ]


def test_an_instance_is_removed_but_not_the_last_one(tmp_path: Path) -> None:
    """Without any the file would be a job of its own name."""
    file = tmp_path / "a.toml"
    for text in ('instances = ["a", "b"]\ncommand = "x"\n', 'command = "x"\n[instances.a]\n[instances.b]\n'):
        file.write_text(text)
        delete_instance(file, "a")
        assert [one.name for one in parse_jobs("a", "a.toml", file.read_text())] == ["a@b"]
        with pytest.raises(AkjobError, match="the only instance"):
            delete_instance(file, "b")
        with pytest.raises(AkjobError, match="has no instance c"):
            edit_instance(file, "c", {"enabled": True})
