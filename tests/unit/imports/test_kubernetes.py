"""CronJobs become job files; what a cluster alone can do is named."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from akjob.imports import Import
from akjob.imports.kubernetes import read_cronjobs
from tests.unit.imports.build import notes, only, tables

WHOLE = """\
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly, namespace: ops}
spec:
  schedule: "30 2 * * 1-5"
  timeZone: Europe/Berlin
  concurrencyPolicy: Forbid
  startingDeadlineSeconds: 600
  suspend: true
  jobTemplate:
    spec:
      activeDeadlineSeconds: 3600
      backoffLimit: 2
      template:
        spec:
          terminationGracePeriodSeconds: 45
          nodeSelector: {disk: ssd}
          containers:
          - name: report
            image: registry.example.org/report:1.2
            command: ["python", "-m", "report"]
            args: ["--to", "$(TO)", "$$(TO)"]
            env:
            - {name: TO, value: ops@example.org}
            - name: PASSWORD
              valueFrom: {secretKeyRef: {name: smtp, key: password}}
            envFrom:
            - configMapRef: {name: settings}
            securityContext: {runAsUser: 1000, runAsGroup: 100}
            resources: {limits: {memory: 512Mi, cpu: 500m}}
            workingDir: /srv
"""


def minimal(spec: str = "", container: str = "", pod: str = "") -> str:
    """Return a manifest with these parts, each a flow of YAML pairs."""
    return (
        'kind: CronJob\nmetadata: {name: x}\nspec: {schedule: "0 1 * * *", jobTemplate: {spec: {template: {spec: '
        f"{{{pod} containers: [{{name: c, image: i, command: [run], {container}}}]}}}}}}}}, {spec}}}\n"
    )


def read(text: str, **kwargs: Any) -> Import:
    """Read a manifest as of a cluster whose time is UTC."""
    return read_cronjobs(text, file="cron.yaml", zone="UTC", **kwargs)


def test_all_keys_with_the_image() -> None:
    """The command is ``docker run``; the limits and the user are the container's."""
    table = only(read(WHOLE))
    assert table["command"] == [
        *("docker", "run", "--rm", "--env", "TO", "--env", "PASSWORD", "--env-file", "etc/settings.env"),
        *("--memory", "512m", "--cpus", "0.5", "--user", "1000:100", "--workdir", "/srv"),
        *("--entrypoint", "python", "registry.example.org/report:1.2", "-m", "report"),
        *("--to", "ops@example.org", "$(TO)"),
    ]
    assert table["enabled"] is False
    assert table["schedule"] == {"timezone": "Europe/Berlin", "cron": "30 2 * * 1-5"}
    assert table["run"] == {
        "timeout": "1h",
        "kill_after": "45s",
        "overlap": "skip",
        "missed": "latest",
        "missed_within": "10m",
        "retry": {"attempts": 3, "delay": "10s", "factor": 2.0, "max_delay": "6m"},
        "env": {"TO": "ops@example.org", "PASSWORD": {"file": "etc/smtp/password"}},
    }


def test_without_the_image() -> None:
    """The command itself runs, and the limits and the user are the run's."""
    table = only(read(WHOLE, image=False))
    assert table["command"] == ["python", "-m", "report", "--to", "ops@example.org", "$(TO)"]
    run = table["run"]
    assert (run["user"], run["group"], run["cwd"], run["env_file"]) == ("1000", "100", "/srv", "etc/settings.env")
    assert run["resources"] == {"memory": "512MiB"}
    assert "limits.cpu 500m is not translated" in notes(read(WHOLE, image=False))


def test_what_the_cluster_alone_can_do_is_named_once() -> None:
    """One line each."""
    said = notes(read(WHOLE))
    assert said == [
        "env PASSWORD: put password of the Secret smtp into that file",
        "envFrom: put the ConfigMap settings into etc/settings.env, as NAME=value",
        "pod.nodeSelector is not translated",
    ]


@pytest.mark.parametrize(
    ("spec", "key", "value"),
    [
        ("concurrencyPolicy: Allow", "overlap", "allow"),
        ("concurrencyPolicy: Replace", "overlap", "replace"),
        ("", "overlap", "allow"),
        ("", "missed_within", "365d"),
        ("", "timeout", "none"),
        ("", "kill_after", "30s"),
        ("", "retry", {"attempts": 7, "delay": "10s", "factor": 2.0, "max_delay": "6m"}),
    ],
)
def test_defaults_are_the_cluster_s(spec: str, key: str, value: object) -> None:
    """What a manifest leaves out means here what it means there."""
    assert only(read(minimal(spec)))["run"][key] == value


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("CRON_TZ=Asia/Tokyo 0 9 * * ?", {"timezone": "Asia/Tokyo", "cron": "0 9 * * *"}),
        ("@every 90m", {"timezone": "UTC", "every": "90m"}),
        ("@daily", {"timezone": "UTC", "cron": "@daily"}),
    ],
)
def test_schedules(schedule: str, expected: dict[str, str]) -> None:
    """The forms that the controller's parser takes besides five fields."""
    assert only(read(minimal().replace("0 1 * * *", schedule)))["schedule"] == expected


def test_what_cannot_be_run_alone_is_disabled() -> None:
    """An image's own entry point, a second container, a value from the pod, a schedule that is none."""
    no_command = minimal().replace("command: [run], ", "")
    assert only(read(no_command))["command"] == ["docker", "run", "--rm", "i"]
    assert only(read(no_command, image=False))["enabled"] is False
    second = minimal().replace("containers: [", "containers: [{name: a, image: b, command: [c]}, ")
    assert only(read(second))["enabled"] is False
    pod = minimal(container="env: [{name: A, valueFrom: {fieldRef: {fieldPath: x}}}]")
    assert only(read(pod))["enabled"] is False
    assert only(read(minimal().replace("0 1 * * *", "often")))["enabled"] is False


def test_lists_and_several_documents() -> None:
    """Every CronJob is a job, other kinds are passed over; each that is active has a command that ends it."""
    one = minimal()
    made = read(
        f"{one}---\nkind: Service\n---\nkind: List\nitems:\n- {{kind: CronJob, metadata: {{name: y}}, spec: {{}}}}\n"
    )
    assert sorted(tables(made)) == ["x", "y"]
    assert [job.line for job in made.jobs] == [1, 9]
    assert made.ends[0] == """`kubectl patch cronjob x -p '{"spec":{"suspend":true}}'` ends it"""
    assert read(WHOLE).ends == ()


def test_what_is_no_yaml_is_one_note() -> None:
    """With its line."""
    made = read("a: [1\nb: 2\n")
    assert (made.jobs, [note.line for note in made.notes]) == ((), [2])
    assert "it is not YAML" in notes(made)[0]


SCALARS = st.none() | st.booleans() | st.integers(-5, 10**6) | st.text(max_size=8) | st.floats(allow_nan=False)
KEYS = st.sampled_from([
    "kind", "metadata", "name", "spec", "schedule", "timeZone", "suspend", "jobTemplate", "template", "containers",
    "image", "command", "args", "env", "value", "valueFrom", "envFrom", "secretKeyRef", "key", "resources",
    "limits", "memory", "backoffLimit", "activeDeadlineSeconds", "items",
])  # fmt: skip
ANYTHING = st.recursive(
    SCALARS, lambda one: st.lists(one, max_size=3) | st.dictionaries(KEYS, one, max_size=4), max_leaves=12
)


@settings(max_examples=80, deadline=None)
@given(st.dictionaries(KEYS, ANYTHING, max_size=6), st.booleans())
def test_whatever_stands_in_a_manifest_what_comes_out_is_a_job(spec: dict[str, Any], image: bool) -> None:
    """No value makes it raise, and no job comes out that akjob would refuse."""
    import yaml  # noqa: PLC0415

    for text in (
        yaml.safe_dump({"kind": "CronJob", "metadata": spec, "spec": spec}),
        yaml.safe_dump(
            {"kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": {"spec": {"containers": [spec]}}}}}}
        ),
    ):
        tables(read(text, image=image))


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=60))
def test_whatever_text_it_is(text: str) -> None:
    """It is read, or one note."""
    tables(read(text))
