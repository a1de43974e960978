"""What is wrong with the folder as a whole: each is reported when it comes up, not at every scan."""

from collections.abc import Iterable

from akjob.errors import Problem
from akjob.jobset.names import JobsFolder
from akjob.jobset.twins import Twins, case_problem


class Notices:
    """The problems that break no job, as of the last scan."""

    def __init__(self, folder: JobsFolder) -> None:
        self._folder = folder
        self._twins = Twins()
        self._case: tuple[Problem, ...] = ()
        self.current: frozenset[Problem] = frozenset()

    def set_paths(self, paths: Iterable[str]) -> None:
        """Look for twins among these job files."""
        self._twins = Twins(paths)
        self._find_twins()

    def change_path(self, path: str, *, there: bool) -> None:
        """Add or remove one job file."""
        (self._twins.add if there else self._twins.discard)(path)
        self._find_twins()

    def _find_twins(self) -> None:
        show = self._folder.show
        self._case = tuple(case_problem(show(path), show(first)) for path, first in self._twins.pairs())

    def update(self, found: Iterable[Problem]) -> list[Problem]:
        """Take over what a scan found; return what is new in it."""
        now = [*found, *self._case]
        new = [problem for problem in now if problem not in self.current]
        self.current = frozenset(now)
        return new
