"""The last good definitions of an earlier process, until the scan has found the files that they are from."""

from collections.abc import Mapping

from akjob.errors import AkjobError, Problem
from akjob.jobset.model import LastGood
from akjob.jobset.names import file_of
from akjob.spec import load_definition
from akjob.spec.model import JobSpec


class StoredJobs:
    """What was stored, by the file that it is from. A file takes what is its own once."""

    def __init__(self, last_good: Mapping[str, LastGood]) -> None:
        self._by_file: dict[str, dict[str, LastGood]] = {}
        for name, stored in last_good.items():
            self._by_file.setdefault(file_of(name), {})[name] = stored

    def __len__(self) -> int:
        """Return how many files there are with something to take."""
        return len(self._by_file)

    def files(self) -> list[str]:
        """Return the paths of the files that have not taken their own yet."""
        return list(self._by_file)

    def take(self, path: str) -> Mapping[str, LastGood]:
        """Return the stored jobs of a file, by name, and forget them."""
        return self._by_file.pop(path, {})


def restored(name: str, stored: LastGood) -> JobSpec | None:
    """Read back a stored definition; None when there is none, or this version of akjob cannot read it any more."""
    if not stored.definition:
        return None
    try:
        return load_definition(name, stored.file, stored.definition)
    except (AkjobError, ValueError, TypeError, KeyError):
        return None


def lost_problem(job: str, shown: str) -> Problem:
    """Return the warning about a stored definition that cannot be read back."""
    return Problem(
        file=shown,
        severity="warning",
        code="lost-last-good",
        message=f"the stored last good definition of {job} cannot be read any more",
        hint="it was stored by another version of akjob; the file itself counts from now on",
    )
