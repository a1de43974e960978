"""What a function may be given, read from its source."""

from pathlib import Path

import pytest

from akjob.code.signature import Argument, Signature, signature_of

SOURCE = '''
from enum import StrEnum
from typing import Literal

class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"

def report(
    region: str, days: int = 7, *, dry: bool = False, format: Literal["pdf", "csv"] = "pdf",
    colour: Colour = Colour.RED, **more,
):
    """Make the report.

    Args:
        region: which part of the world,
            as the sales team has it
        days (int): how far back

    It is mailed.
    """

def plain(a, /, b, *rest):
    """:param b: the second"""

@undecided
def wrapped(a): ...

class Task:
    def __init__(self, root="/"): ...
    def run(self, ownjob, size: int): ...

value = 3
'''


@pytest.fixture
def path(tmp_path: Path) -> list[str]:
    """Return where the module is."""
    (tmp_path / "shop.py").write_text(SOURCE)
    return [str(tmp_path)]


def test_types_defaults_choices_and_what_the_docstring_says(path: list[str]) -> None:
    """In the order of the source; nothing is imported."""
    found = signature_of("shop:report", path)
    assert found == Signature(
        arguments=(
            Argument(
                name="region", type="str", required=True, about="which part of the world, as the sales team has it"
            ),
            Argument(name="days", type="int", default="7", about="how far back"),
            Argument(name="dry", type="bool", default="False", choices=(True, False)),
            Argument(name="format", type="Literal['pdf', 'csv']", default="'pdf'", choices=("pdf", "csv")),
            Argument(name="colour", type="Colour", default="Colour.RED", choices=("red", "blue")),
        ),
        about="Make the report.",
        any_keyword=True,
    )


def test_what_cannot_be_given_by_keyword_is_left_out(path: list[str]) -> None:
    """Positional-only ones, and what akjob gives itself; a class is called by its run."""
    plain = signature_of("shop.plain", path)
    assert plain is not None
    assert [(one.name, one.about) for one in plain.arguments] == [("b", "the second")]
    task = signature_of("shop:Task", path)
    assert task is not None
    assert [(one.name, one.required) for one in task.arguments] == [("size", True)]


@pytest.mark.parametrize("target", ["shop:wrapped", "shop:value", "shop:absent", "nowhere:x", "builtins:print"])
def test_there_is_no_signature_where_the_source_does_not_tell(path: list[str], target: str) -> None:
    """Behind a decorator, for a value, for what is not there, for what has no source."""
    assert signature_of(target, path) is None
