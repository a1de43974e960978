"""Of each job the one word that lists and counts show, kept over many questions: only what changed is decided again."""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from akjob.query.jobs import Snapshot


class ShownStates(Struct, frozen=True, kw_only=True):
    """The words of all jobs of a snapshot, sorted by name. ``until_us`` is when the first pause ends by itself."""

    words: Mapping[str, str]
    until_us: int | None

    def holds(self, now_us: int) -> bool:
        """Return True if no pause has ended since."""
        return self.until_us is None or now_us < self.until_us


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
    return ShownStates(words=words, until_us=min(ends, default=None))


def _paused(words: Mapping[str, str]) -> list[str]:
    return [name for name, word in words.items() if word == "paused"]
