"""A root for a test: a folder with job files of its own."""

from pathlib import Path

from akjob.config import Paths
from akjob.errors import Problem
from akjob.testing.clock import now_us
from akjob.testing.job import TestJob, load
from akjob.validate import validate


class Root:
    """A fresh root. ``path`` is its folder, ``paths`` where everything is in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.paths = Paths(path)
        self.paths.jobs_d.mkdir(parents=True)
        self.paths.etc.mkdir()
        self.paths.config_file.write_text("", encoding="utf-8")

    def __fspath__(self) -> str:
        """Return the folder, so that the root can be used where a path is wanted."""
        return str(self.path)

    def write(self, name: str, text: str) -> Path:
        """Write a job file, or ``_defaults``, by its name; return its path. It is never seen half written."""
        path = self.paths.jobs_d / f"{name}.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.new")
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
        return path

    def settings(self, text: str) -> None:
        """Write ``etc/akjob.toml``."""
        self.paths.config_file.write_text(text, encoding="utf-8")

    def load(self, name: str) -> TestJob:
        """Return a job."""
        return load(self.paths.jobs_d / f"{name}.toml")

    def validate(self) -> list[Problem]:
        """Return everything that is wrong in the job files."""
        return validate(self.paths, now_us=now_us())
