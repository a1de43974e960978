"""Ask a Prometheus everything that a dashboard asks: ``python panels.py DASHBOARD URL``.

Each query must be one that Prometheus answers; those of the first row must have an answer that is not empty.
"""

import json
import sys
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

_VARIABLES = {"$instance": ".*", "$job_name": ".*", "$__rate_interval": "1m"}


def answers(url: str, query: str) -> list[object]:
    """Return what a query finds."""
    for name, value in _VARIABLES.items():
        query = query.replace(name, value)
    with urlopen(f"{url}/api/v1/query?{urlencode({'query': query})}") as answer:  # noqa: S310 - loopback
        found: dict[str, dict[str, list[object]]] = json.load(answer)
    return found["data"]["result"]


def main(board: Path, url: str) -> None:
    """Ask, and fail at the first that is wrong."""
    first_row = 0
    for panel in json.loads(board.read_text())["panels"]:
        for target in panel.get("targets", []):
            found = answers(url, target["expr"])
            if panel["type"] == "stat":
                first_row += 1
                assert found, panel["title"]
    assert first_row


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
