"""What is shipped beside akjob is what its programs take, and fits this version of akjob."""

import getpass
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from importlib import util
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from akjob.cli import cli
from akjob.cli.init import unit
from akjob.config import load_config
from akjob.config.secrets import SecretFile

CONTRIB = Path(__file__).parents[2] / "contrib"
PROMETHEUS = CONTRIB / "prometheus"
promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not there: apt-get install prometheus"
)


def run(*arguments: str, given: bytes = b"") -> None:
    """Run promtool, which must be content."""
    done = subprocess.run(["promtool", *arguments], input=given, cwd=PROMETHEUS, capture_output=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()


@promtool
def test_the_alert_rules() -> None:
    """They are valid, and fire and resolve as their tests say."""
    run("check", "rules", "rules.yml")
    run("test", "rules", "rules_test.yml")


@promtool
def test_the_scrape_configuration() -> None:
    """What the how-to says to add is what Prometheus takes."""
    run("check", "config", "--syntax-only", "prometheus.yml")


def known() -> set[str]:
    """Return every name that the documentation promises."""
    text = (CONTRIB.parent / "docs" / "reference" / "metrics.md").read_text()
    names = set(re.findall(r"^\| `(akjob_\w+)`", text, re.MULTILINE))
    return names | {f"{name}_bucket" for name in names} | {f"{name}_sum" for name in names}


@pytest.mark.parametrize("file", ["grafana/akjob.json", "prometheus/rules.yml", "prometheus/rules_test.yml"])
def test_only_metrics_that_exist_are_used(file: str) -> None:
    """A renamed metric leaves no panel and no alert behind that never shows anything."""
    text = (CONTRIB / file).read_text()
    used = set(re.findall(r"\bakjob_[a-z_]+", text))
    assert used
    assert used - known() == set()


def test_the_dashboard_is_one() -> None:
    """It is JSON, its panels have distinct numbers and do not overlap, and it asks which Prometheus to use."""
    board = json.loads((CONTRIB / "grafana" / "akjob.json").read_text())
    assert board["templating"]["list"][0]["type"] == "datasource"
    places = [
        (x, y)
        for panel in board["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(places)) == len(places)
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def needs(program: str, package: str) -> pytest.MarkDecorator:
    """Return the mark of a test that a program checks our file in."""
    return pytest.mark.skipif(
        shutil.which(program) is None, reason=f"{program} is not there: apt-get install {package}"
    )


def test_the_unit_is_the_one_that_init_writes() -> None:
    """Mend it by ``akjob init --systemd /srv/jobs``."""
    shipped = (CONTRIB / "systemd" / "akjob.service").read_text()
    assert shipped == unit(Path("/srv/jobs"), "/opt/akjob/bin", "akjob")


@pytest.mark.parametrize(
    ("shell", "check"),
    [
        pytest.param("bash", ["bash", "-n"], marks=needs("bash", "bash")),
        pytest.param("zsh", ["zsh", "-n"], marks=needs("zsh", "zsh")),
        pytest.param("fish", ["fish", "--no-execute"], marks=needs("fish", "fish")),
    ],
)
def test_completions(shell: str, check: list[str]) -> None:
    """They are those that akjob itself prints, and their shell reads them."""
    file = CONTRIB / "completions" / f"akjob.{shell}"
    code = "from akjob.cli import main; main()"
    environment = {**os.environ, "_AKJOB_COMPLETE": f"{shell}_source"}
    printed = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert file.read_text() == printed.stdout
    assert subprocess.run([*check, str(file)], capture_output=True, check=False).returncode == 0


@needs("bash", "bash")
def test_bash_completes_commands(tmp_path: Path) -> None:
    """With the shipped file, ``akjob hist`` and the tab key make ``akjob history``."""
    (tmp_path / "akjob").write_text(f"#!{sys.executable}\nfrom akjob.cli import main\nmain()\n")
    (tmp_path / "akjob").chmod(0o755)
    script = f"""
        . {shlex.quote(str(CONTRIB / "completions" / "akjob.bash"))}
        COMP_WORDS=(akjob hist) COMP_CWORD=1
        _akjob_completion akjob
        echo "${{COMPREPLY[@]}}"
    """
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["history"]


@needs("logrotate", "logrotate")
def test_logrotate_takes_its_file(tmp_path: Path) -> None:
    """A dry run on a stream of ours, as this user."""
    (tmp_path / "akjob.jsonl").write_text("{}\n")
    text = (CONTRIB / "logrotate" / "akjob").read_text()
    me = getpass.getuser()
    text = text.replace("/srv/jobs/var/log", str(tmp_path)).replace("su akjob akjob", f"su {me} {me}")
    (tmp_path / "conf").write_text(text)
    argv = ["logrotate", "--debug", "--force", "--state", str(tmp_path / "state"), str(tmp_path / "conf")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, "error" in done.stderr, "signal HUP akjob-collector" in done.stderr) == (0, False, True)


def akjob_commands(words: str) -> list[str]:
    """Return the commands of akjob that a text calls, ``up`` and ``init`` for instance."""
    return re.findall(r"(?:^|[\s/\"',\[])akjob[\"',\s]+([a-z]+)", words)


def test_the_image_calls_what_there_is() -> None:
    """Dockerfile: its instructions are Docker's, its commands akjob's, and its signal the one that waits for runs."""
    lines = (CONTRIB / "docker" / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    steps = [line for line in lines if line.strip() and not line.startswith("#")]
    known = {"FROM", "RUN", "COPY", "WORKDIR", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT"}
    assert {step.split()[0] for step in steps} == known
    called = [command for step in steps for command in akjob_commands(step)]
    assert {"up", "status"} <= set(called)
    assert "STOPSIGNAL SIGINT" in steps
    entry = next(step for step in steps if step.startswith("ENTRYPOINT"))
    assert json.loads(entry.removeprefix("ENTRYPOINT ")) == ["tini", "--", "akjob", "up"]


def manifests(file: str) -> list[dict[str, Any]]:
    """Return the objects of a Kubernetes file."""
    return list(yaml.safe_load_all((CONTRIB / "kubernetes" / file).read_text()))


@pytest.mark.parametrize(("file", "replicas"), [("akjob.yaml", 1), ("akjob-nodes.yaml", 3)])
def test_the_manifests_fit_together(tmp_path: Path, file: str, replicas: int) -> None:
    """As many replicas as there may be, the settings are valid, and what one object names the others have."""
    settings, service, workload = manifests(file)
    assert [one["kind"] for one in (settings, service, workload)] == ["ConfigMap", "Service", "StatefulSet"]
    (tmp_path / "akjob.toml").write_text(settings["data"]["akjob.toml"])
    config, problems = load_config(tmp_path / "akjob.toml")
    assert problems == []
    spec = workload["spec"]
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    assert spec["replicas"] == replicas
    assert (config.cluster is None) is (replicas == 1)
    assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"] == service["spec"]["selector"]
    assert container["ports"][0]["containerPort"] == service["spec"]["ports"][0]["port"] == config.web.listen[0].port
    volumes = {one["metadata"]["name"] for one in spec["volumeClaimTemplates"]} | {
        one["name"] for one in pod["volumes"]
    }
    assert {one["name"] for one in container["volumeMounts"]} == volumes
    named = {one["configMap"]["name"] for one in pod["volumes"] if "configMap" in one}
    assert named == {settings["metadata"]["name"]}
    if config.cluster is not None:  # each node has the name of its pod, and publishes the pod's own address
        assert (config.cluster.node, config.web.public_url) == ("", "")
        (secret,) = (one for one in container["volumeMounts"] if one["name"] == "database")
        assert config.cluster.url == SecretFile(f"{secret['mountPath']}/url")
    hosts = {
        header["value"]
        for probe in ("startupProbe", "livenessProbe")
        for header in container[probe]["httpGet"]["httpHeaders"]
    }
    assert hosts <= set(config.web.hosts)
    assert container["lifecycle"]["preStop"]["exec"]["command"] == ["akjob", "down"]


def test_the_new_machine_calls_what_there_is() -> None:
    """cloud-init: it is YAML with its first line, and akjob has the commands and options that it calls."""
    text = (CONTRIB / "cloud-init" / "user-data.yaml").read_text()
    assert text.startswith("#cloud-config\n")
    steps = [" ".join(step) for step in yaml.safe_load(text)["runcmd"]]
    assert [step for step in steps if "-- /opt/akjob/bin/akjob init --systemd /srv/jobs" in step] != []
    command = cli.get_command(click.Context(cli), "init")
    assert command is not None
    assert "--systemd" in {option for parameter in command.params for option in parameter.opts}


def test_the_bill_of_materials_is_that_of_the_lock() -> None:
    """Each package that is installed on Linux, in its version, with a licence; fix it with ``make sbom``."""
    place = util.spec_from_file_location("sbom", CONTRIB / "sbom.py")
    assert place is not None
    assert place.loader is not None
    sbom = util.module_from_spec(place)
    place.loader.exec_module(sbom)
    written = json.loads(sbom.SBOM.read_text())["components"]
    pinned = {(pin.name, next(iter(pin.specifier)).version) for pin in sbom.locked()}
    assert {(one["name"], one["version"]) for one in written} == pinned
    assert [
        one["name"] for one in written if one["licenses"][0].get("license", {}).get("name") == "see the package"
    ] == []


def test_nothing_of_others_is_in_the_wheel() -> None:
    """The licence of akjob is that of every file in it: whoever vendors something has to add its notice here."""
    package = CONTRIB.parent / "akjob"
    texts = [file for file in package.rglob("*") if file.suffix in {".py", ".js", ".css", ".html", ".sql"}]
    assert [
        file for file in texts if re.search(r"copyright (\(c\)|©|[0-9])|spdx-|@licen", file.read_text(), re.IGNORECASE)
    ] == []
    assert tomllib.loads((CONTRIB.parent / "pyproject.toml").read_text())["project"]["license"] == "MIT"
