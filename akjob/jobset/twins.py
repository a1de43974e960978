"""Job files whose names differ only in case: a checkout on macOS or Windows keeps only one of them."""

from collections.abc import Iterable, Iterator

from akjob.errors import Problem


class Twins:
    """Paths that are the same when case does not count. Hardly any is, so a path without a twin takes little memory."""

    def __init__(self, paths: Iterable[str] = ()) -> None:
        self._one: dict[str, str] = {}
        self._several: dict[str, set[str]] = {}
        for path in paths:
            self.add(path)

    def add(self, path: str) -> None:
        """Add a path."""
        folded = path.casefold()
        other = self._one.setdefault(path if folded == path else folded, path)
        if other != path:
            self._several.setdefault(folded, {other}).add(path)

    def discard(self, path: str) -> None:
        """Remove a path if it is there."""
        folded = path.casefold()
        paths = self._several.get(folded, set())
        paths.discard(path)
        if self._one.get(folded) == path:
            del self._one[folded]
            if paths:
                self._one[folded] = next(iter(paths))
        if len(paths) < 2:  # noqa: PLR2004 - twins are two
            self._several.pop(folded, None)

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Yield each path that has a twin, with the first of its twins."""
        for paths in self._several.values():
            first, *others = sorted(paths)
            yield from ((path, first) for path in others)


def case_problem(shown: str, other: str) -> Problem:
    """Return the warning about a file whose name differs from another's only in case."""
    return Problem(
        file=shown,
        severity="warning",
        code="case-twin",
        message=f"the name differs from {other} only in case",
        hint="rename one of them: on macOS and Windows a checkout keeps only one of the two",
    )
