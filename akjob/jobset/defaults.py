"""The chain of ``_defaults.toml`` files that hold for a job file: one a folder, from the outermost to its own."""

from collections.abc import Callable
from pathlib import Path

from akjob.config import DEFAULTS
from akjob.errors import Problem
from akjob.jobset import scan
from akjob.jobset.names import folder_of
from akjob.spec import Defaults, parse_defaults


class DefaultsChain:
    """The defaults above each folder. ``read`` gives a folder's own, or None; it is asked once for each."""

    def __init__(self, read: Callable[[str], Defaults | None]) -> None:
        self._read = read
        self._known: dict[str, tuple[Defaults, ...]] = {}

    def of_folder(self, folder: str) -> tuple[Defaults, ...]:
        """Return the defaults that hold in a folder, the outermost first."""
        if folder not in self._known:
            above = self.of_folder(folder_of(folder)) if folder else ()
            own = self._read(folder)
            self._known[folder] = above if own is None else (*above, own)
        return self._known[folder]

    def of_file(self, path: str) -> tuple[Defaults, ...]:
        """Return the defaults that hold for a job file, the outermost first."""
        return self.of_folder(folder_of(path))


def read_defaults(folder: Path, shown: str) -> Defaults | None:
    """Read the ``_defaults.toml`` of a folder; None where there is no such regular file.

    ``shown`` is what messages call the file. One that cannot be read costs all jobs below, so it is a Defaults with
    that problem.
    """
    try:
        data, _ = scan.read(str(folder / DEFAULTS))
    except FileNotFoundError:
        return None
    except scan.UnreadableFileError as error:
        if error.code == "not-a-file":
            return None  # the scan of the folder warns of it, and akjobd passes it over
        return unreadable_defaults(shown, error.problem(shown))
    return parse_defaults(shown, data)


def unreadable_defaults(shown: str, problem: Problem) -> Defaults:
    """Return defaults of which nothing can be read."""
    return Defaults(shown, {}, (problem,), frozenset({()}))
