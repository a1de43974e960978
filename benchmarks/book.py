"""The figures of one call of the benchmarks: kept by measure, thing and contender, one value a round."""

import math
import statistics
import sys
import time
from collections.abc import Iterable, Sequence

from msgspec import Struct, field

AKJOB = "akjob"
BASE = "base"
PEERS = ("cron", "yacron", "apscheduler")


class Figure(Struct, kw_only=True):
    """One thing measured of one contender. ``values`` has one entry a round; ``lost`` and ``twice`` are sums."""

    measure: str
    what: str
    who: str
    unit: str
    values: list[float] = field(default_factory=list)
    lost: int = 0
    twice: int = 0

    @property
    def median(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.values)


class Goal(Struct, frozen=True, kw_only=True):
    """What is wanted of one thing.

    At most (``most``) or at least (``least``) so much, at most so many times the base (``ratio``), or at least so many
    times the best peer (``peers``).
    """

    measure: str
    what: str
    text: str
    most: float = math.inf
    least: float = -math.inf
    ratio: float = math.inf
    peers: float = 0.0


class Book(Struct):
    """All figures, samples for the pictures, and remarks."""

    figures: dict[tuple[str, str, str], Figure] = field(default_factory=dict)
    samples: dict[str, list[float]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    former: set[tuple[str, str, str]] = field(default_factory=set)
    former_samples: set[str] = field(default_factory=set)

    def add(  # noqa: PLR0913 - a figure is what it is
        self, measure: str, what: str, who: str, value: float, unit: str, *, lost: int = 0, twice: int = 0
    ) -> None:
        """Note the value of one round."""
        key = measure, what, who
        if key in self.former:
            self.former.discard(key)
            del self.figures[key]
        figure = self.figures.setdefault(key, Figure(measure=measure, what=what, who=who, unit=unit))
        figure.values.append(value)
        figure.lost += lost
        figure.twice += twice
        amiss = f"   LOST {lost}, TWICE {twice}" if lost or twice else ""
        self.say(f"  {measure}  {what:<44} {who:<12} {show(value, unit):>12}{amiss}")

    def recall(self, figures: Iterable[Figure], samples: dict[str, list[float]]) -> None:
        """Take over what an earlier call measured. What is measured again replaces what was measured then."""
        self.figures = {(one.measure, one.what, one.who): one for one in figures}
        self.samples = samples
        self.former = set(self.figures)
        self.former_samples = set(samples)

    def sample(self, name: str, values: Iterable[float]) -> None:
        """Keep single values for a picture."""
        if name in self.former_samples:
            self.former_samples.discard(name)
            del self.samples[name]
        self.samples.setdefault(name, []).extend(values)

    def remark(self, text: str) -> None:
        """Keep a sentence that belongs under the table, and say it at once."""
        if text not in self.remarks:
            self.remarks.append(text)
            self.say(f"  {text}")

    def say(self, text: str) -> None:
        """Show progress."""
        print(f"{time.monotonic() - self.began:6.1f} {text}", file=sys.stderr, flush=True)

    def get(self, measure: str, what: str, who: str) -> Figure | None:
        """Return one figure."""
        return self.figures.get((measure, what, who))


def quantile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def show(value: float, unit: str) -> str:
    """Write a value as people read it: three digits, thousands separated."""
    digits = 0 if abs(value) >= 100 or value == int(value) else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f} {unit}".strip()
