"""The files of a job."""

import os
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from akjob.config import Paths, find_root
from akjob.jobset.defaults import DefaultsChain, read_defaults
from akjob.jobset.names import JobsFolder, defaults_in
from akjob.models.writing import REMARK
from akjob.spec import Defaults


def root_paths() -> Paths:
    """Return where everything is. Raises AkjobError where there is no root."""
    return Paths(find_root(None, os.environ, Path.cwd()))


def slug(name: str) -> str:
    """Return the file name that goes with a job's name: ``Print Hello World`` is ``print-hello-world``."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def defaults_of(paths: Paths, file: Path) -> Sequence[Defaults]:
    """Return the ``_defaults.toml`` files that hold for a job file, the outermost first."""
    folder = JobsFolder.of(paths)
    chain = DefaultsChain(lambda below: read_defaults(paths.jobs_d / below, folder.show(defaults_in(below))))
    return chain.of_file(file.relative_to(paths.jobs_d).as_posix())


def with_remarks(text: str, remarks: Sequence[str]) -> str:
    """Return a job file with these remarks in place of those that it has."""
    lines = [line for line in text.splitlines() if not line.startswith(REMARK)]
    # Behind a `#:schema` line, which editors want first.
    at = 1 if lines and lines[0].startswith("#:") else 0
    return "\n".join([*lines[:at], *remarks, *lines[at:]]) + "\n"
