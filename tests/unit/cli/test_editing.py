"""The commands that write files: `new`, `enable`, `disable`, `delete`, `import`; also `schema` and `diff`."""

import os
import re
import subprocess
import sysconfig
import tomllib
from pathlib import Path

import msgspec
import pytest

from akjob.cli.import_ import machine_zone
from tests.unit.cli.root import NOW_US, Root

JOB = '# why it is there\ncommand = "x"  # what\n\n[schedule]\ndaily = 02:30:00\n'


def text_of(root: Root, name: str) -> str:
    """Return a job's file."""
    return (root.paths.jobs_d / f"{name}.toml").read_text()


# -- new


def test_new_writes_a_skeleton_that_is_a_job(root: Root) -> None:
    """It is valid as it stands, runs by hand only, and finds its schema from any depth."""
    assert root.akjob("new", "reports/nightly").stdout == "wrote jobs.d/reports/nightly.toml\n"
    (found,) = root.json("show", "reports/nightly")
    assert found["enabled"] is True
    assert found["next"] is None
    assert text_of(root, "reports/nightly").startswith("#:schema ../../etc/job.schema.json\n")


def test_every_line_of_the_skeleton_is_right_when_its_comment_is_taken_off(root: Root) -> None:
    """What people take the comment off of must be what akjob takes."""
    root.akjob("new", "a", "--callable", "pkg.mod:run")
    lines = text_of(root, "a").splitlines()
    shown = [line.removeprefix("# ") if " = " in line or line.startswith("# [") else line for line in lines]
    spec = root.job("b", "\n".join(shown[1:]))
    assert spec is not None
    table = tomllib.loads("\n".join(shown))
    assert set(table) == {"description", "enabled", "tags", "callable", "args", "kwargs", "schedule", "limits", "run"}
    assert len(table["schedule"]) == 7


def test_new_takes_what_to_run(root: Root) -> None:
    """Quotes and backslashes survive."""
    root.akjob("new", "a", "--command", "echo \"a\\b\" 'c'")
    assert tomllib.loads(text_of(root, "a"))["command"] == "echo \"a\\b\" 'c'"
    root.akjob("new", "b", "--callable", "reports.sales:send")
    assert tomllib.loads(text_of(root, "b"))["callable"] == "reports.sales:send"
    assert root.akjob("new", "c", "--callable", "x:y", "--command", "z").exit_code == 2


def test_new_never_overwrites_and_refuses_names_that_are_none(root: Root) -> None:
    """What is there stays; a name must be one that is loaded."""
    root.job("a", JOB)
    assert root.akjob("new", "a").exit_code == 1
    assert text_of(root, "a") == JOB
    for name in ("_hidden", ".x", "../out", "a b", ""):
        assert root.akjob("new", name).exit_code == 2
    assert [path.name for path in root.paths.jobs_d.rglob("*")] == ["a.toml"]


# -- enable, disable, delete


def test_disable_and_enable_keep_everything_else(root: Root) -> None:
    """Comments, order and blanks; back and forth gives a file that means the same."""
    root.job("sub/a", JOB)
    assert root.akjob("disable", "sub/a").stdout == "jobs.d/sub/a.toml: enabled = false\n"
    disabled = text_of(root, "sub/a")
    assert tomllib.loads(disabled)["enabled"] is False
    assert [line for line in disabled.splitlines() if line in JOB.splitlines()] == JOB.splitlines()
    assert root.akjob("enable", "jobs.d/sub/a.toml").exit_code == 0
    assert root.json("list")[0]["enabled"] is True


def test_edits_of_what_is_not_there_or_broken(root: Root) -> None:
    """Unknown jobs are wrong usage; a file that is not TOML is left as it is."""
    root.job("a", JOB)
    root.job("bad", "command = \n")
    assert root.akjob("enable", "b").exit_code == 2
    assert root.akjob("delete", "../a").exit_code == 2
    assert root.akjob("disable", "bad").exit_code == 1
    assert text_of(root, "bad") == "command = \n"


@pytest.mark.parametrize("command", ["enable", "disable", "delete"])
def test_no_edit_leaves_the_folder(root: Root, tmp_path: Path, command: str) -> None:
    """A file elsewhere is no job, by whatever path; one below jobs.d is a job by its absolute path, too."""
    outside = tmp_path / "elsewhere" / "a.toml"
    outside.parent.mkdir()
    outside.write_text(JOB)
    root.job("sub/a", JOB)
    relative = os.path.relpath(outside, root.paths.jobs_d)
    for wanted in (str(outside), str(outside.with_suffix("")), relative, relative.removesuffix(".toml")):
        result = root.akjob(command, wanted)
        assert (result.exit_code, result.stdout) == (2, ""), wanted
        assert "there is no job" in result.stderr
    assert outside.read_text() == JOB
    assert text_of(root, "sub/a") == JOB
    result = root.akjob(command, str(root.paths.jobs_d / "sub" / "a.toml"))
    assert (result.exit_code, "jobs.d/sub/a.toml" in result.stdout) == (0, True)


def test_delete_removes_the_file_and_tells_of_its_dill_file(root: Root) -> None:
    """Broken ones too; a dill file may be another job's."""
    root.job("a", "broken")
    (root.paths.jobs_d / "a.dill").write_bytes(b"x")
    result = root.akjob("delete", "a")
    assert result.stdout == "removed jobs.d/a.toml\n"
    assert "jobs.d/a.dill is left" in result.stderr
    assert [path.name for path in root.paths.jobs_d.iterdir()] == ["a.dill"]


# -- schema


def test_schema_is_json(root: Root) -> None:
    """A JSON Schema with the keys of the job file."""
    schema = msgspec.json.decode(root.akjob("schema").stdout)
    assert {"callable", "dill", "command", "schedule", "limits", "run"} <= set(schema["properties"])


# -- import


def test_import_crontab_writes_files_that_are_jobs(root: Root) -> None:
    """By default into a folder of its own below jobs.d; notes go to standard error, and that cron still runs it."""
    tab = root.paths.root / "tab"
    tab.write_text("MAILTO=x\n0 3 * * * backup --all\n@reboot /opt/warm.sh\n")
    result = root.akjob("import", "crontab", str(tab), "--timezone", "Europe/Berlin")
    assert result.exit_code == 0
    assert "2 jobs, 1 note" in result.stderr
    assert f"{tab}:1: MAILTO=x" in result.stderr
    assert [line["job"] for line in root.json("list")] == ["tab/backup-all", "tab/warm"]
    assert (
        "the original is still active: if the file is a copy, made by `crontab -l`, `crontab -r` ends" in result.stderr
    )
    assert "if a scheduler reads the file itself, `sed -i.before" in result.stderr
    assert text_of(root, "tab/warm").startswith("#:schema ../../etc/job.schema.json\n")
    assert 'umask = "0022"' in (root.paths.jobs_d / "tab" / "_defaults.toml").read_text()
    assert 'umask = "0022"' not in text_of(root, "tab/warm")
    assert root.json("next", "tab/backup-all", "-n1")[0]["next"] == ["2026-03-29T03:00:00+02:00"]


def test_import_never_overwrites_unless_told_to(root: Root) -> None:
    """What is there stays, is named, and the exit code says so."""
    root.job("tab/backup", JOB)
    tab = root.paths.root / "tab"
    tab.write_text("0 3 * * * backup\n0 4 * * * other\n")
    result = root.akjob("import", "crontab", str(tab))
    assert result.exit_code == 1
    assert "not overwritten" in result.stderr
    assert text_of(root, "tab/backup") == JOB
    assert (root.paths.jobs_d / "tab" / "other.toml").is_file()
    assert root.akjob("import", "crontab", str(tab), "--force").exit_code == 0
    assert text_of(root, "tab/backup") != JOB


def test_import_does_not_give_defaults_to_jobs_of_others(root: Root) -> None:
    """Where other jobs are in the folder, everything stands in each file."""
    root.job("mine", JOB)
    tab = root.paths.root / "tab"
    tab.write_text("0 3 * * * backup\n0 4 * * * other\n")
    for folder in (root.paths.jobs_d, root.paths.jobs_d / "sub"):
        folder.mkdir(exist_ok=True)
        (folder / "mine.toml").write_text(JOB)
        assert root.akjob("import", "crontab", str(tab), "-o", str(folder)).exit_code == 0
        assert not (folder / "_defaults.toml").exists()
        assert 'umask = "0022"' in (folder / "other.toml").read_text()


def snapshot(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_import_again_changes_nothing(root: Root) -> None:
    """Also when lines were added and moved: old ones keep their files; one that has gone is named."""
    tab = root.paths.root / "tab"
    tab.write_text("0 3 * * * backup a\n0 4 * * * tick\n0 5 * * * tick\n")
    assert root.akjob("import", "crontab", str(tab), "--timezone", "UTC").exit_code == 0
    before = snapshot(root.paths.jobs_d)
    again = root.akjob("import", "crontab", str(tab), "--timezone", "UTC")
    assert (again.exit_code, again.stdout) == (0, "")
    assert snapshot(root.paths.jobs_d) == before
    tab.write_text("1 1 * * * tick\n0 5 * * * tick\n2 2 * * * backup b\n0 3 * * * backup a\n")
    changed = root.akjob("import", "crontab", str(tab), "--timezone", "UTC")
    assert changed.exit_code == 0
    after = snapshot(root.paths.jobs_d)
    assert {name: after[name] for name in before} == before
    assert len(after) == len(before) + 2
    assert "its line is not in" in changed.stderr
    assert "0 4 * * * tick" in changed.stderr


def test_import_takes_folders_and_finds_out_an_anacrontab(root: Root) -> None:
    """Each crontab has its folder; names with a dot are passed over, as by cron."""
    place = root.paths.root / "cron.d"
    place.mkdir()
    (place / "a").write_text("0 3 * * * root /usr/bin/a\n")
    (place / "b.dpkg-old").write_text("0 3 * * * root /usr/bin/b\n")
    (place / "anacrontab").write_text("1 5 cron.daily run-parts /etc/cron.daily\n")
    result = root.akjob("import", "crontab", str(place))
    assert result.exit_code == 0, result.output
    assert [line["job"] for line in root.json("list")] == ["a/a", "anacrontab/cron.daily"]
    assert "read as an anacrontab" in result.stderr


MANIFEST = """\
apiVersion: batch/v1
kind: CronJob
metadata: {name: report, namespace: ops}
spec:
  schedule: "30 2 * * *"
  jobTemplate:
    spec: {template: {spec: {containers: [{name: c, image: "busybox:1", command: [date]}]}}}
"""
YACRON = """\
jobs:
  - name: report
    command: date
    schedule: "30 2 * * *"
"""
BEAT = """\
from celery.schedules import crontab
app.conf.beat_schedule = {"report": {"task": "proj.tasks.report", "schedule": crontab(minute=30, hour=2)}}
raise SystemExit("this is never run")
"""


@pytest.mark.parametrize(
    ("kind", "file", "text", "job", "ends"),
    [
        ("kubernetes", "cron.yaml", MANIFEST, "kubernetes/ops-report", "kubectl patch cronjob report -n ops"),
        ("yacron", "cron.yaml", YACRON, "yacron/report", "stop yacron"),
        ("celery", "beat.py", BEAT, "celery/report", "stop `celery beat`"),
        ("anacron", "anacrontab", "1 5 report date\n", "anacrontab/report", "sed -i.before"),
    ],
)
def test_import_of_other_schedulers(root: Root, kind: str, file: str, text: str, job: str, ends: str) -> None:  # noqa: PLR0913, PLR0917
    """Each makes job files that validate takes, says what ends the original, and changes nothing a second time."""
    (root.paths.root / file).write_text(text)
    result = root.akjob("import", kind, str(root.paths.root / file), "--timezone", "UTC")
    assert result.exit_code == 0, result.output
    assert [line["job"] for line in root.json("list")] == [job]
    assert ends in result.stderr
    before = snapshot(root.paths.jobs_d)
    assert root.akjob("import", kind, str(root.paths.root), "--timezone", "UTC").exit_code == (
        0 if kind != "anacron" else 2
    )
    assert snapshot(root.paths.jobs_d) == before


def test_import_of_standard_input_without_writing(root: Root) -> None:
    """`crontab -l | akjob import crontab - --dry-run` shows what would be written."""
    result = root.akjob("import", "crontab", "-", "--dry-run", given="0 3 * * * backup now\n")
    assert "# ---- backup-now.toml\n" in result.stdout
    assert result.stderr.startswith("standard input: read as a user's crontab")
    assert not list(root.paths.jobs_d.iterdir())


def test_import_crontab_of_the_spool(root: Root) -> None:
    """Whose crontab it is stands in the path; nothing is guessed."""
    spool = root.paths.root / "var" / "spool" / "cron" / "crontabs"
    spool.mkdir(parents=True)
    (spool / "bob").write_text("0 3 * * * root backup\n")
    result = root.akjob("import", "crontab", str(spool / "bob"), "--dry-run")
    assert 'user = "bob"' in result.stdout
    assert "read as" not in result.stderr


def test_whose_crontab_it_is_is_guessed_and_said(root: Root) -> None:
    """By the words before the commands; --system and --user say it."""
    tab = "0 3 * * * root /usr/bin/backup --all\n"
    result = root.akjob("import", "crontab", "-", "--dry-run", given=tab)
    assert 'user = "root"' in result.stdout
    assert "read as a system crontab" in result.stderr
    user = root.akjob("import", "crontab", "-", "--dry-run", "--user", given=tab)
    assert 'command = "root /usr/bin/backup --all"' in user.stdout
    assert "read as" not in user.stderr
    file = root.paths.root / "tab"
    file.write_text("0 3 * * * /usr/bin/backup --all\n")
    assert "read as a user's crontab" in root.akjob("import", "crontab", str(file), "--dry-run").stderr


def test_import_crontab_of_bytes_that_are_no_utf_8(root: Root) -> None:
    """From a file and from standard input: such a line becomes no job, and is seen."""
    tab = root.paths.root / "tab"
    tab.write_bytes(b"0 5 * * * /bin/echo h\xe9\n0 6 * * * /bin/true\n")
    for result in (
        root.akjob("import", "crontab", str(tab), "--dry-run", "--user"),
        root.akjob("import", "crontab", "-", "--dry-run", "--user", given=tab.read_bytes()),
    ):
        assert result.exit_code == 0, result.output
        assert "1: its bytes are not UTF-8" in result.stderr
        assert r"/bin/echo h\xe9" in result.stderr
        assert result.stdout.count("command = ") == 1


def test_import_to_a_folder_needs_no_root(root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """-o says where."""
    monkeypatch.chdir(tmp_path)
    tab = root.paths.root / "tab"
    tab.write_text("0 3 * * * backup\n")
    assert root.akjob("import", "crontab", str(tab), "-o", str(tmp_path / "new")).exit_code == 0
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["backup.toml"]


def test_import_of_nothing_fails(root: Root) -> None:
    """A file that is not there is wrong usage, one without entries a problem."""
    assert root.akjob("import", "crontab", "nope").exit_code == 2
    assert root.akjob("import", "crontab", "-", given="# nothing\n").exit_code == 1


def test_import_systemd_finds_the_service_and_the_drop_ins(root: Root) -> None:
    """Beside the timer, also the template of an instance."""
    units = root.paths.root / "units"
    (units / "report@emea.timer.d").mkdir(parents=True)
    (units / "report@emea.timer").write_text("[Timer]\nOnCalendar=daily\n")
    (units / "report@emea.timer.d" / "10.conf").write_text("[Timer]\nOnCalendar=\nOnCalendar=9:30\n")
    (units / "report@.service").write_text("[Service]\nType=oneshot\nExecStart=/usr/bin/report %i\n")
    result = root.akjob("import", "systemd", "units/report@emea.timer", "--timezone", "Asia/Tokyo")
    assert result.exit_code == 0, result.output
    table = tomllib.loads(text_of(root, "systemd/report-emea"))
    assert table["command"] == ["/usr/bin/report", "emea"]
    assert root.json("next", "systemd/report-emea", "-n1")[0]["next"] == ["2026-03-29T09:30:00+09:00"]


def test_import_systemd_takes_a_folder(root: Root) -> None:
    """All timers in it, each with its service."""
    units = root.paths.root / "units"
    units.mkdir()
    for name in ("b", "a"):
        (units / f"{name}.timer").write_text("[Timer]\nOnCalendar=daily\n")
        (units / f"{name}.service").write_text(f"[Service]\nExecStart=/usr/bin/{name}\n")
    result = root.akjob("import", "systemd", "units", "--timezone", "UTC")
    assert [Path(line.removeprefix("wrote ")).name for line in result.stdout.splitlines()] == [
        "_defaults.toml",
        "a.toml",
        "b.toml",
    ]
    assert "systemctl disable --now a.timer b.timer" in result.stderr


def test_import_systemd_finds_an_instance_of_a_template(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its name, and the drop-ins of both in all of systemd's folders; what is masked or a template is not a job."""
    etc, lib = root.paths.root / "etc-units", root.paths.root / "lib-units"
    monkeypatch.setattr("akjob.cli.import_._SYSTEM", [etc, lib])
    for folder in (etc / "dump@.timer.d", etc / "dump@main.timer.d", lib / "dump@.timer.d"):
        folder.mkdir(parents=True)
    (lib / "dump@.timer").write_text("[Timer]\nOnCalendar=daily\n")
    (lib / "dump@.service").write_text("[Service]\nType=oneshot\nExecStart=/usr/bin/dump %i\n")
    (lib / "dump@.timer.d" / "a.conf").write_text("[Timer]\nOnCalendar=1:00\n")
    (etc / "dump@.timer.d" / "a.conf").write_text("[Timer]\nOnCalendar=\nOnCalendar=2:00\n")
    (etc / "dump@main.timer.d" / "b.conf").write_text("[Timer]\nRandomizedDelaySec=5m\n")
    (lib / "off.timer").write_text("[Timer]\nOnCalendar=daily\n")
    (etc / "off.timer").symlink_to("/dev/null")
    result = root.akjob("import", "systemd", "dump@main")
    assert result.exit_code == 0, result.output
    table = tomllib.loads(text_of(root, "systemd/dump-main"))
    assert table["command"] == ["/usr/bin/dump", "main"]
    assert str(table["schedule"]["daily"]) == "02:00:00"
    assert table["schedule"]["jitter"] == "5m"
    assert root.akjob("import", "systemd", "off").exit_code == 2
    assert root.akjob("import", "systemd", str(etc)).stderr == (
        f"akjob: nothing to import: there is no file of that kind in {etc}\n0 jobs, 0 notes\n"
    )
    assert "is a template" in root.akjob("import", "systemd", "dump@").stderr


def test_import_systemd_without_timer_or_service(root: Root) -> None:
    """Which file is missing is said."""
    assert root.akjob("import", "systemd", "nope").exit_code == 2
    (root.paths.root / "x.timer").write_text("[Timer]\nOnCalendar=daily\n")
    alone = root.akjob("import", "systemd", "x.timer")
    assert alone.exit_code == 1
    assert "x.service was not found" in alone.stderr
    (root.paths.root / "y.timer").write_text("nonsense\n")
    assert "nonsense" in root.akjob("import", "systemd", "y.timer").stderr


def test_the_machine_s_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    """$TZ names it; without it, it is a zone all the same."""
    monkeypatch.setenv("TZ", ":America/New_York")
    assert machine_zone() == "America/New_York"
    monkeypatch.delenv("TZ")
    assert machine_zone()


# -- diff


@pytest.fixture
def changed(root: Root, monkeypatch: pytest.MonkeyPatch) -> Root:
    """Make a repository whose work tree differs from HEAD by a changed, a new and a removed job."""
    monkeypatch.setattr("akjob.cli.diff.now_us", lambda: NOW_US)
    root.job("a", JOB)
    root.job("b", JOB.replace("x", "y"))
    root.commit()
    root.job("a", JOB.replace("02:30", "03:30"))
    root.job("c", 'command = "z"\n')
    (root.paths.jobs_d / "b.toml").unlink()
    return root


def test_diff_of_the_work_tree(changed: Root) -> None:
    """Against HEAD, in each of the formats."""
    result = changed.akjob("diff")
    assert result.exit_code == 0, result.output
    assert "schedule.daily: 02:30:00 -> 03:30:00" in result.stdout
    assert {(line["change"], line["job"]) for line in changed.json("diff")} == {
        ("added", "c"), ("removed", "b"), ("changed", "a"),
    }  # fmt: skip
    assert "| key | old | new |" in changed.akjob("diff", "--format", "markdown").stdout


def test_diff_of_two_revisions(changed: Root) -> None:
    """As two arguments, or as git writes a range."""
    changed.git("add", "jobs.d")
    changed.git("commit", "-qm", "second")
    assert changed.json("diff") == []
    assert (
        changed.json("diff", "HEAD~", "HEAD") == changed.json("diff", "HEAD~..HEAD") == changed.json("diff", "HEAD~..")
    )
    assert len(changed.json("diff", "HEAD~")) == 3


def test_diff_since_the_last_common_commit(changed: Root) -> None:
    """Three dots mean what they mean to `git diff`: what the second side changed since it left the first."""
    changed.git("checkout", "-q", "-b", "topic")
    changed.git("add", "jobs.d")
    changed.git("commit", "-qm", "topic")
    topic = changed.json("diff", "HEAD~", "HEAD")
    changed.git("checkout", "-q", "-")
    changed.job("elsewhere", 'command = "e"\n')
    changed.git("add", "jobs.d")
    changed.git("commit", "-qm", "elsewhere")
    assert changed.json("diff", "HEAD...topic") == changed.json("diff", "...topic") == topic
    assert len(changed.json("diff", "HEAD..topic")) == len(topic) + 1
    changed.git("checkout", "-q", "--orphan", "unrelated")
    changed.git("commit", "-qm", "unrelated")
    result = changed.akjob("diff", "topic...")
    assert result.exit_code == 2
    assert "topic and HEAD have no commit in common" in result.stderr


def test_the_workflow_s_commands_do_what_it_says(changed: Root) -> None:
    """Those of docs/how-to/github-workflow.yml, as GitHub would run them for a pull request."""
    changed.git("update-ref", "refs/remotes/origin/main", "HEAD")
    changed.git("add", "jobs.d")
    changed.git("commit", "-qm", "second")
    text = (Path(__file__).parents[3] / "docs" / "how-to" / "github-workflow.yml").read_text()
    commands = re.findall(r"run: (akjob .*)", text)
    assert [command.split()[1] for command in commands] == ["validate", "diff"]
    summary = changed.paths.root / "summary.md"
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "BASE": "main", "GITHUB_STEP_SUMMARY": str(summary)}
    for command in commands:
        subprocess.run(["bash", "-ec", command], cwd=changed.paths.root, env=environment, check=True)
    assert summary.read_text().startswith("### Jobs: `origin/main (")
    assert "**changed** `a`" in summary.read_text()


def test_diff_of_a_broken_change_exits_with_1(changed: Root) -> None:
    """What would be refused is a problem found; revisions that are none are wrong usage."""
    changed.job("a", "evry = 1\n")
    result = changed.akjob("diff")
    assert result.exit_code == 1
    assert "refused  a" in result.stdout
    changed.git("commit", "-qam", "broken")
    assert changed.akjob("diff").exit_code == 1  # it would still be refused
    assert changed.akjob("diff", "HEAD", "HEAD~").exit_code == 0
    assert changed.akjob("diff", "nope").exit_code == 2
    assert changed.akjob("diff", "a", "b", "c").exit_code == 2
