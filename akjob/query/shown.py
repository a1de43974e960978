"""Of each job the one word that lists and counts show, kept over many questions: only what changed is decided again."""

from collections import Counter
from collections.abc import Iterable, Mapping

from akjob.query.jobs import Snapshot
from akjob.query.visibility import matches

_MOST_GLOBS = 64


class ShownStates:
    """The words of all jobs of a snapshot, sorted by name. ``until_us`` is when the first pause ends by itself.

    What a glob leaves of them, and how many jobs have which word, is found out once for each glob.
    """

    def __init__(self, words: Mapping[str, str], until_us: int | None) -> None:
        self.words = words
        self.until_us = until_us
        self._visible: dict[str, Mapping[str, str]] = {}
        self._counts: dict[str | None, Counter[str]] = {}

    def holds(self, now_us: int) -> bool:
        """Return True if no pause has ended since."""
        return self.until_us is None or now_us < self.until_us

    def visible(self, glob: str | None) -> Mapping[str, str]:
        """Return the words of the jobs whose names fit a glob; None fits all."""
        if glob is None:
            return self.words
        found = self._visible.get(glob)
        if found is None:
            found = {name: word for name, word in self.words.items() if matches(glob, name)}
            if len(self._visible) < _MOST_GLOBS:
                self._visible[glob] = found
        return found

    def counts(self, glob: str | None) -> Counter[str]:
        """Return how many of these jobs have which word."""
        found = self._counts.get(glob)
        if found is None:
            found = Counter(self.visible(glob).values())
            if len(self._counts) < _MOST_GLOBS:
                self._counts[glob] = found
        return found


def shown_states(snapshot: Snapshot) -> ShownStates:
    """Return the words of all jobs."""
    return _states(snapshot, {name: snapshot.job(name).shown_state for name in snapshot.names()})


def updated(kept: ShownStates, snapshot: Snapshot, names: Iterable[str]) -> ShownStates:
    """Return the words of a snapshot whose jobs are the same, of which those named may have changed."""
    changed = [*names, *(() if kept.holds(snapshot.now_us) else _paused(kept.words))]
    if not changed:
        return kept
    words = {name: snapshot.job(name).shown_state for name in changed if name in kept.words}
    return _states(snapshot, {**kept.words, **words})


def _states(snapshot: Snapshot, words: Mapping[str, str]) -> ShownStates:
    pauses = (snapshot.job(name).pause for name in _paused(words))
    ends = [pause.until_us for pause in pauses if pause is not None and pause.until_us is not None]
    return ShownStates(words, min(ends, default=None))


def _paused(words: Mapping[str, str]) -> list[str]:
    return [name for name, word in words.items() if word == "paused"]
