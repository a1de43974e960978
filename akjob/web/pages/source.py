"""The line of a file that is wrong, with what is around it and a caret below it."""

import os

from akjob.config import Paths

_AROUND = 2
_LONGEST = 200
_LARGEST = 1 << 20


def excerpt(paths: Paths, file: str, line: int, column: int) -> str:
    """Return some lines of a job file or of the settings, which the read model named; empty if it cannot be read."""
    path = os.path.realpath(paths.root / file)
    try:
        if os.path.getsize(path) > _LARGEST:
            return ""
        with open(path, encoding="utf-8", errors="replace") as opened:
            lines = opened.read().splitlines()
    except OSError:
        return ""
    shown = []
    for number in range(max(1, line - _AROUND), min(len(lines), line + _AROUND) + 1):
        text = lines[number - 1].replace("\t", " ")[:_LONGEST]
        shown.append(f"{number:>5} | {text}")
        if number == line:
            shown.append(f"      | {' ' * (column - 1)}^")
    return "\n".join(shown)
