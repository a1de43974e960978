"""Whatever a source has in it, an import ends with code 0, 1 or 2, in bounded work, and never with a traceback."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from akjob import imports
from akjob.cli import cli
from akjob.imports.documents import NotYamlError, documents
from akjob.imports.kinds import kind_of

KINDS = ("crontab", "anacron", "kubernetes", "yacron", "celery", "systemd")
GOOD = {
    "crontab": "MAILTO=x\n0 1 * * * echo x\n@daily echo y\n0 1 * * * 2027 echo z\n",
    "anacron": "RANDOM_DELAY=5\nSTART_HOURS_RANGE=3-22\n1 5 cron.daily run-parts /etc/cron.daily\n",
    "kubernetes": (
        "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: x}\nspec:\n  schedule: '0 1 * * *'\n  jobTemplate:\n"
        "    spec:\n      backoffLimit: 2\n      template:\n        spec:\n          containers:\n"
        "          - {name: c, image: i, command: [a, b], env: [{name: A, value: b}]}\n"
    ),
    "yacron": "defaults: {shell: /bin/sh}\njobs:\n- {name: x, command: y, schedule: '0 1 * * *', killTimeout: 3}\n",
    "celery": 'beat_schedule = {"x": {"task": "a.b", "schedule": crontab(hour=3), "args": (1, "x"), "options": {}}}\n',
    "systemd": "[Timer]\nOnCalendar=daily\nRandomizedDelaySec=5m\n[Service]\nExecStart=/bin/x %i\nTimeoutStartSec=3\n",
}


@pytest.fixture(scope="module", autouse=True)
def _elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("sources"))
    yield
    os.chdir(before)


def run(kind: str, source: bytes, *options: str) -> Result:
    """Import a source, and look at the end."""
    file = Path("x.timer" if kind == "systemd" else "source")
    file.write_bytes(source)
    Path("x.service").write_bytes(source)
    done = CliRunner(env={"TZ": "UTC"}).invoke(cli, ["import", kind, str(file), "--dry-run", *options])
    assert done.exit_code in {0, 1, 2}, (done.exit_code, done.output, done.exc_info)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    assert done.exit_code == 0 or done.stderr.strip(), "it says why"
    return done


BITS = (
    *(
        b"",
        b"9" * 30,
        b"9" * 5000,
        b"\0",
        b"\xff",
        "²".encode(),
        "٣".encode(),
        "\u2028".encode(),
        b"-1",
        b"1e999",
        b"@",
    ),
    *(b"%", b"\\", b"''", b'"', b"\n", b"\t", b"{", b"[", b"&a", b"*a", b"!!int x", b"<<: *a", b"0000", b"~", b"/0"),
    *(b"@", b".nan", b"2026-02-31", b"null"),
)
SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("kind", KINDS)
@SETTINGS
@given(source=st.binary(max_size=400))
def test_bytes(kind: str, source: bytes) -> None:
    """Any bytes."""
    run(kind, source)


@pytest.mark.parametrize("kind", KINDS)
@SETTINGS
@given(data=st.data())
def test_a_good_source_that_was_damaged(kind: str, data: st.DataObject) -> None:
    """Parts of it are gone, doubled, or something else."""
    good = GOOD[kind].encode()
    source = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(source)))
        length = data.draw(st.integers(0, 20))
        what = data.draw(
            st.sampled_from((*BITS, good)) | st.binary(max_size=8)
        )  # fmt: skip
        source[at : at + length] = what
    run(kind, bytes(source))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates() | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=3),
    max_leaves=8,
)
KEYS = {
    "kubernetes": (
        *("kind", "items", "metadata", "spec", "schedule", "timeZone", "jobTemplate", "template", "containers", "env"),
        *("envFrom", "name", "value", "valueFrom", "command", "args", "image", "resources", "limits", "memory", "cpu"),
        *("securityContext", "runAsUser", "activeDeadlineSeconds", "backoffLimit", "secretKeyRef", "key"),
    ),
    "yacron": (
        *("jobs", "defaults", "name", "command", "schedule", "environment", "key", "value", "onFailure", "retry"),
        *("maximumRetries", "failsWhen", "executionTimeout", "killTimeout", "user", "utc", "timezone", "year"),
        *("backoffMultiplier", "initialDelay", "report", "shell", "env_file", "second"),
    ),
}


def shaped(kind: str) -> st.SearchStrategy[Any]:
    """Return what has the keys of a kind in any order and depth, with any values."""
    keys = st.sampled_from(KEYS[kind])
    return st.recursive(
        VALUES | st.just("CronJob"),
        lambda inner: st.dictionaries(keys, inner, max_size=6) | st.lists(inner, max_size=3),
        max_leaves=20,
    )


@pytest.mark.parametrize("kind", sorted(KEYS))
@SETTINGS
@given(data=st.data())
def test_any_structure(kind: str, data: st.DataObject) -> None:
    """The keys are known, the values are anything."""
    import yaml  # noqa: PLC0415 - as in the importers

    value = data.draw(shaped(kind))
    whole = (
        {**(value if isinstance(value, dict) else {}), "kind": "CronJob"} if kind == "kubernetes" else {"jobs": [value]}
    )
    run(kind, yaml.dump(whole, allow_unicode=True).encode("utf-8", "surrogatepass"))


def laughs(head: str) -> str:
    """Return a YAML in which each of ten aliases stands for ten of the one before it."""
    lines = ["a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    return "\n".join([*lines, head])


YACRON = "jobs:\n- name: x\n  schedule: '0 1 * * *'\n  command: {}\n"
BOMBS = {
    "laughs": (laughs(YACRON.format("*a11")), "with its aliases written out it has more than 32 MiB"),
    "merges": (
        "m0: &m0 {x: 1}\n"
        + "".join(f"m{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 10)}]}}\n" for n in range(1, 12))
        + YACRON.format("y"),
        "with its aliases written out",
    ),
    "itself": ("a: &a [*a]\n" + YACRON.format("y"), "for what it stands in"),
    "deep": (YACRON.format("[" * 5000 + "]" * 5000), "nested more than 64 deep"),
    "deep blocks": ("".join("  " * n + "a:\n" for n in range(200)) + YACRON.format("y"), "nested more than 64 deep"),
    "a long scalar many times": (
        f"a: &a {'x' * 1_000_000}\n" + YACRON.format(f"[{', '.join(['*a'] * 1000)}]"), "with its aliases written out",
    ),
    "large": ("# " + "x" * (imports.LARGEST + 1), "more than 4 MiB"),
    "many": ("jobs:\n" + "- {name: x, command: y}\n" * 20_000, "more than 10,000 entries"),
    "large defaults": (
        f"defaults: {{environment: [{{key: A, value: {'x' * 100_000}}}]}}\njobs:\n"
        + "- {name: x, command: y}\n" * 1000,
        "its jobs would have more than 32 MiB",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", ["yacron", "kubernetes"])
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb(bomb: str, kind: str) -> None:
    """It is refused before anything is made of it, with what it is."""
    source, said = BOMBS[bomb]
    done = run(kind, source.encode())
    if kind == "yacron" or bomb not in {"large defaults", "many"}:
        assert said in done.stderr or (bomb == "deep" and "maximum nesting depth" in done.stderr)
    assert done.exit_code in {1, 2}


def test_what_a_bomb_costs() -> None:
    """Not one value of it is constructed: the events are counted, and the counting stops at the limit."""
    with pytest.raises(NotYamlError, match="written out"):
        next(documents(laughs("x: *a11")))


@pytest.mark.parametrize(
    ("kind", "source", "said"),
    [
        ("crontab", "0 1 * * * x\n" * 20_000, "more than 10,000 entries"),
        ("crontab", f"A={'x' * 100_000}\n" + "0 1 * * * x\n" * 1000, "more than 32 MiB"),
        ("crontab", "x" * (imports.LARGEST + 1), "more than 4 MiB"),
        ("anacron", "1 5 x y\n" * 20_000, "more than 10,000 entries"),
        ("kubernetes", "kind: CronJob\n---\n" * 20_000, "more than 10,000 entries"),
        ("celery", "CRONJOBS = [" + "('0 1 * * *', 'a.b')," * 20_000 + "]", "more than 10,000 entries"),
        ("celery", "x = " + "(" * 50_000, "it is not Python"),
        ("celery", "x = " + "-" * 100_000 + "1", "it is not Python"),
        ("celery", "x = " + "a." * 50_000 + "b", "it is not Python"),
        ("celery", "beat_schedule = {'x': {'task': 'a.b', 'schedule': " + "1+" * 50_000 + "1}}", "not"),
        ("systemd", "[Timer]\n" + "OnCalendar=daily\n" * 300_000, "more than 4 MiB"),
    ],
)  # fmt: skip
def test_too_much(kind: str, source: str, said: str) -> None:
    """Too many, too large, too deep."""
    done = run(kind, source.encode())
    assert said in done.stderr
    assert done.exit_code in {1, 2}


def test_names_that_are_all_alike_are_cheap() -> None:
    """Each gets a number without all numbers before it being tried."""
    names = imports.ImportNames()
    assert [names.take("x") for _ in range(3)] == ["x", "x-2", "x-3"]
    assert len({names.take("x") for _ in range(20_000)}) == 20_000
    assert names._counts == {"x": 20_003}


@pytest.mark.parametrize("kind", KINDS)
def test_files_that_are_none(kind: str, tmp_path: Path) -> None:
    """A folder without any, a link that leads to itself, a device without end, a name that no file can have."""
    loop, empty = tmp_path / "loop.timer", tmp_path / "empty"
    loop.symlink_to(loop)
    empty.mkdir()
    for name in (empty, loop, "/dev/zero", "/dev/null", "x" * 5000, "a\n", "", tmp_path / "none.timer"):
        done = CliRunner(env={"TZ": "UTC"}).invoke(cli, ["import", kind, str(name), "--dry-run"])
        assert done.exit_code in {1, 2}, (name, done.output)
        assert isinstance(done.exception, SystemExit), (name, done.exc_info)
        assert done.stderr.strip()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("other", KINDS)
def test_the_wrong_importer_names_the_right_one(kind: str, other: str) -> None:
    """What another import reads is told to be that."""
    assert kind_of(GOOD[other]) == other
    done = run(kind, GOOD[other].encode())
    if kind == other or {kind, other} <= {"crontab", "anacron"}:  # `import crontab` takes both
        return
    assert done.exit_code == 1
    assert "nothing to import: " in done.stderr
    assert f"it has the form of what `akjob import {other}` reads" in done.stderr


SERVICES = "kind: Deployment\n---\nkind: Service\n"


@pytest.mark.parametrize(
    ("kind", "source", "said"),
    [
        ("kubernetes", SERVICES, "no manifest with `kind: CronJob`; it has Deployment, Service"),
        ("kubernetes", "", "no manifest with `kind: CronJob`; it is empty"),
        ("yacron", "web: {}\nlogging: {}\n", "there is no list `jobs`; its keys are web, logging"),
        ("yacron", "a: 1\nb: 1\nc: 1\nd: 1\ne: 1\nf: 1\n", "its keys are a, b, c, d, e, …"),
        ("celery", "x = 1\n", "there is no beat_schedule and no CRONJOBS that is written out"),
        ("crontab", "# only a comment\n", "there is no entry of five fields"),
        ("anacron", "X=1\n", "there is no entry of a period, a delay, a name and a command"),
    ],
)
def test_a_source_without_jobs(kind: str, source: str, said: str) -> None:
    """What was looked for, and what was found instead."""
    done = run(kind, source.encode())
    assert "nothing to import: source: " in done.stderr
    assert said in done.stderr
    assert done.exit_code == 1


def test_a_folder_without_jobs(tmp_path: Path) -> None:
    """One line for all files of which the same is to be said."""
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.yaml").write_text("kind: Service\n")
    done = CliRunner(env={"TZ": "UTC"}).invoke(cli, ["import", "kubernetes", str(tmp_path), "--dry-run"])
    assert f"nothing to import: {tmp_path}/a.yaml and 2 other files: there is no manifest" in done.stderr
    assert done.exit_code == 1
