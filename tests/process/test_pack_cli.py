"""``akjob pack`` and ``akjob inspect`` as people call them."""

import hashlib
import json
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from akjob.cli import cli

EVIL = b"cposix\nsystem\n(S'touch owned'\ntR."


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current folder, with a script in it and no root."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AKJOB_ROOT", raising=False)
    (tmp_path / "send.py").write_text("def send(region):\n    return 'sent to ' + region\n")
    return tmp_path


def akjob(*arguments: str, stdin: str = "") -> Result:
    """Call a command in this process."""
    return CliRunner().invoke(cli, arguments, input=stdin)


def test_pack_prints_the_lines_of_the_job_file(folder: Path) -> None:
    """Standard output is TOML and nothing else, ready to be pasted; the file has the hash that it names."""
    done = akjob("pack", "send.py:send", "--arg", "region=emea", "--arg", "n:=[1, 2]")
    assert done.exit_code == 0, done.stderr
    table = tomllib.loads(done.stdout)
    assert table["kwargs"] == {"region": "emea", "n": [1, 2]}
    assert table["dill"]["file"] == "send.dill"
    assert table["dill"]["sha256"] == hashlib.sha256((folder / "send.dill").read_bytes()).hexdigest()
    assert "send.dill: written" in done.stderr
    assert "the function send, whole" in done.stderr
    assert json.loads((folder / "send.dill.json").read_text())["source"].startswith("def send(region):")


def test_pack_json_and_output(folder: Path) -> None:
    """``-o`` names the file, ``--json`` prints the record as one object."""
    (folder / "jobs.d").mkdir()
    done = akjob("pack", "-:f", "-o", "jobs.d/f.dill", "--json", stdin="f = lambda: 1\n")
    record = json.loads(done.stdout)
    assert record["file"] == "jobs.d/f.dill"
    assert record["sha256"] == hashlib.sha256((folder / "jobs.d" / "f.dill").read_bytes()).hexdigest()


def test_rebuild(folder: Path) -> None:
    """``--rebuild`` makes the file again from the record; with ``-o`` it is wrong usage."""
    first = akjob("pack", "send.py:send").stdout
    (folder / "send.dill").unlink()
    (folder / "send.py").unlink()
    assert akjob("pack", "--rebuild", "send.dill").stdout == first
    assert akjob("pack", "--rebuild", "send.dill", "-o", "x.dill").exit_code == 2


@pytest.mark.usefixtures("folder")
def test_pack_of_what_is_not_there() -> None:
    """The message names target and reason; exit code 1."""
    done = akjob("pack", "send.py:sned")
    assert done.exit_code == 1
    assert (
        "send.py:sned cannot be packed: LookupError: send.py:sned: there is no 'sned'; there are: send" in done.stderr
    )


@pytest.mark.usefixtures("folder")
def test_inspect_lists_what_is_inside() -> None:
    """What it gives, its code, its strings, its record and its source, on a file that only builds: exit code 0."""
    akjob("pack", "send.py:send")
    done = akjob("inspect", "send.dill")
    assert done.exit_code == 0
    for line in (
        "send.dill: the function send, whole",
        "  loading    builds it, and does nothing else",
        "  code       send(region) send.py:1",
        "  string     'sent to '",
        "  record     send.dill.json",
        "    return 'sent to ' + region",
    ):
        assert line in done.stdout


def test_inspect_describes_a_malicious_pickle(folder: Path) -> None:
    """A pickle that would call os.system is described as dangerous, with exit code 1, and not run."""
    (folder / "evil.dill").write_bytes(EVIL)
    done = akjob("inspect", "evil.dill")
    assert done.exit_code == 1
    assert "  loading    DANGEROUS  calls os.system('touch owned')\n" in done.stdout
    assert "  record     there is no evil.dill.json\n" in done.stdout
    assert not (folder / "owned").exists()
    calls = json.loads(akjob("inspect", "evil.dill", "--json").stdout)["calls"]
    assert [(call["what"], call["verdict"]) for call in calls] == [("calls os.system", "dangerous")]


def test_inspect_of_a_record_that_is_of_another_file(folder: Path) -> None:
    """A record that does not belong to the file is said not to."""
    akjob("pack", "send.py:send")
    (folder / "send.dill").write_bytes(b"N.")
    done = akjob("inspect", "send.dill")
    assert "NOT of this file" in done.stdout
    assert "a value of type NoneType" in done.stdout


def test_inspect_does_not_let_a_file_speak_to_the_terminal(folder: Path) -> None:
    """Escape sequences in names and in the record are shown, not sent."""
    (folder / "x.dill").write_bytes(b"c\x1b[31mos\nsystem\n.")
    (folder / "x.dill.json").write_text(json.dumps({"sha256": "", "source": "\x1b]0;owned\x07"}))
    done = akjob("inspect", "x.dill")
    assert "\x1b" not in done.stdout
    assert "\\x1b[31mos" in done.stdout


def test_inspect_of_no_pickle(folder: Path) -> None:
    """A file that is not a pickle is an error that says so; one that is missing is wrong usage."""
    (folder / "x.dill").write_text("hello")
    done = akjob("inspect", "x.dill")
    assert done.exit_code == 1
    assert "error      it cannot be read to its end" in done.stdout
    assert akjob("inspect", "y.dill").exit_code == 2
