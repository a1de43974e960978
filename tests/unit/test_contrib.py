"""What is shipped for Prometheus and Grafana works with the metrics that there are."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

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
