"""What a change of ``jobs.d`` means. Both sides are read, nothing is checked out."""

from akjob.diff.compare import Difference, compare
from akjob.diff.render import render_json, render_markdown, render_text
from akjob.diff.side import Side, at_revision, of_work_tree
from akjob.diff.slots import Slots, slots_of

__all__ = [
    "Difference",
    "Side",
    "Slots",
    "at_revision",
    "compare",
    "of_work_tree",
    "render_json",
    "render_markdown",
    "render_text",
    "slots_of",
]
