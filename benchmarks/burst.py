"""b. A burst: 1,000 tiny jobs due at one instant.

Each is a definition with ``at`` that instant. A callable notes the clock and its name in a file; a command is
``date``, whose line must be in the log stream. Counted: rows in the ledger, starts, lines ``run.started`` and
``run.finished``; each must be there once for every job. CPU is that of akjobd, zygote, collector, shims and jobs, from
a second before the instant until the last run is in the ledger and the log is at rest. In the rounds that ask for
``status`` meanwhile, every 50 ms, CPU is not noted.
"""

import re
import time
from collections import Counter

from akjob.instants import to_text
from benchmarks.book import AKJOB, BASE, Book, quantile
from benchmarks.machine import Cage, next_second, sleep_until, until
from benchmarks.place import Place
from benchmarks.start import bare, stamps

JOBS = 1_000
_ASK_EVERY_S = 0.05
_DEADLINE_S = 60.0
_KINDS = {"callable": "call", "argv": "spawn", "sh -c": "sh"}


def measure(book: Book, rounds: int, jobs: int = JOBS) -> None:
    """Measure so many rounds of each kind, akjob and base in turn."""
    for _ in range(rounds):
        for what, kind in _KINDS.items():
            akjob(book, what, jobs)
            base(book, what, kind, jobs)
        base(book, "callable", "fork", jobs, who="bare fork")
        akjob(book, "callable", jobs, asking=True)


def akjob(  # noqa: PLR0913 - all that tells one burst from another
    book: Book,
    what: str,
    jobs: int,
    *,
    asking: bool = False,
    measure: str = "b",
    titled: str = "",
) -> None:
    """Measure one burst of akjob's; ``titled`` is its name in the table."""
    title = titled or what
    with Place() as place:
        due = next_second(4 + jobs / 500)
        for number in range(jobs):
            _define(place, what, number, due)
        place.start()
        sleep_until(due - 1)
        before = place.cage.cpu_s()
        sleep_until(due - 0.1)
        answers = _ask(place) if asking else []
        ended = until(lambda: time.time() > due + 0.2 and place.open_runs() == 0, _DEADLINE_S, 0.05)
        if asking:
            answers.extend(_ask_until_done(place))
        _rest(place)
        after = place.cage.cpu_s()
        starts = _starts(place, what)
        lost, twice = count(place, starts, jobs)
        if ended is None:
            book.remark(f"b. {what}: not all {jobs} runs had ended after {_DEADLINE_S:.0f} s")
        _note(book, measure, title, AKJOB, starts, due, lost, twice)
        if asking:
            book.add(measure, f"{title}: status meanwhile, p50", AKJOB, quantile(answers, 0.5) * 1e3, "ms")
            book.add(measure, f"{title}: status meanwhile, longest", AKJOB, max(answers) * 1e3, "ms")
        else:
            book.add(measure, f"{title}: CPU per run", AKJOB, (after - before) / jobs * 1e3, "ms")


def _define(place: Place, what: str, number: int, due: int) -> None:
    name = f"job{number:05d}"
    code = {
        "callable": f'callable = "stamping:stamp"\nargs = ["{place.stamps}", "{name}"]\n',
        "argv": f'command = ["/bin/date", "+{name} %s%N -"]\n',
        "sh -c": f"command = \"date '+{name} %s%N -'\"\n",
    }[what]
    (place.root / "jobs.d" / f"{name}.toml").write_text(
        f"{code}[schedule]\nat = {to_text(due * 1_000_000)}\n".replace(".000000Z", "Z"), encoding="utf-8"
    )


def _ask(place: Place) -> list[float]:
    """Ask for the status until all runs have ended; return how long each answer took, in seconds."""
    answers: list[float] = []
    end = time.monotonic() + _DEADLINE_S
    begun = False
    while time.monotonic() < end:
        began = time.perf_counter()
        status = place.status()
        answers.append(time.perf_counter() - began)
        begun = begun or bool(status["running"])
        if begun and not status["running"] and place.open_runs() == 0:
            break
        time.sleep(_ASK_EVERY_S)
    return answers


def _ask_until_done(place: Place) -> list[float]:
    began = time.perf_counter()
    place.status()
    return [time.perf_counter() - began]


def _rest(place: Place) -> None:
    """Wait until every run's folder is gone and the log stream has not grown for a while."""
    until(lambda: not any(place.paths.runs.iterdir()), _DEADLINE_S, 0.05)
    size = -1
    while size != (size := sum(path.stat().st_size for path in place.paths.log_dir.glob("*.jsonl"))):
        time.sleep(0.3)


def _starts(place: Place, what: str) -> list[tuple[str, int]]:
    if what == "callable":
        return [(name, at) for name, at, _ in stamps(place.stamps)]
    return [(name.decode(), int(at)) for name, at in re.findall(rb'"line":"(job\d+) (\d+) -"', place.log())]


def count(place: Place, starts: list[tuple[str, int]], jobs: int) -> tuple[int, int]:
    """Return how many of the jobs lack, or have too much of, what each must have once."""
    log = place.log()
    seen = [
        Counter(name for name, _ in starts),
        Counter(job for (job,) in place.sql("SELECT job FROM runs WHERE state = 'succeeded'")),
        Counter(re.findall(rb'"event":"run.started","source":"run","job":"(\w+)"', log)),
        Counter(re.findall(rb'"event":"run.finished","source":"run","job":"(\w+)"', log)),
    ]
    lost = max(jobs - len(one) for one in seen)
    twice = max(sum(one.values()) - len(one) for one in seen)
    return lost, twice


def base(book: Book, what: str, kind: str, jobs: int, *, who: str = BASE, measure: str = "b") -> None:  # noqa: PLR0913
    """Measure one burst of a base program."""
    with Place() as place, Cage() as cage:
        due = next_second(2)
        out = place.root / "out"
        program = bare(kind, out, due * 1_000_000, 0, 1, jobs, place.root)
        cage.take(program.pid)
        sleep_until(due - 0.5)
        before = cage.cpu_s()
        program.wait()
        used = cage.cpu_s() - before
        starts = [(name, at) for name, at, _ in stamps(out)]
        lost = jobs - len({name for name, _ in starts})
        _note(book, measure, what, who, starts, due, lost, len(starts) - jobs + lost)
        book.add(measure, f"{what}: CPU per run", who, used / jobs * 1e3, "ms")


def _note(  # noqa: PLR0913, PLR0917 - all that is told of a burst
    book: Book, measure: str, title: str, who: str, starts: list[tuple[str, int]], due: int, lost: int, twice: int
) -> None:
    if not starts:
        book.remark(f"{measure}. {title} of {who}: nothing started at all")
        return
    after = sorted(at / 1e9 - due for _, at in starts)
    book.add(measure, f"{title}: last started after", who, after[-1], "s", lost=lost, twice=twice)
    book.add(measure, f"{title}: started per second", who, len(after) / after[-1], "/s")
    book.add(measure, f"{title}: first started after", who, after[0] * 1e3, "ms")
    book.sample(f"{measure} {title} {who}", after)
