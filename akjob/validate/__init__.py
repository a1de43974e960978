"""Everything that is wrong in job files, in one go, without running anything of theirs."""

from akjob.validate.check import parse_file, validate
from akjob.validate.render import render_github, render_json, render_sarif, render_text

__all__ = ["parse_file", "render_github", "render_json", "render_sarif", "render_text", "validate"]
