"""What is wanted, by measure and figure. ``ratio`` is against the base in the same run."""

from benchmarks.book import AKJOB, BASE, PEERS, Book, Figure, Goal
from benchmarks.cluster import MEMORY, QUERIES, START
from benchmarks.page import ALONE, LOADED, PAGES
from benchmarks.scale import COMMANDS, SIMULATED
from benchmarks.whole import LOOKED_AT

GOALS = (
    Goal(measure="a", what="callable, p50", text="≤ 1.5 x base", ratio=1.5),
    Goal(measure="a", what="callable, p99", text="≤ 3 x base", ratio=3.0),
    Goal(measure="a", what="argv, p50", text="≤ 1.5 x base", ratio=1.5),
    Goal(measure="a", what="argv, p99", text="≤ 3 x base", ratio=3.0),
    Goal(measure="a", what="sh -c, p50", text="≤ 1.3 x base", ratio=1.3),
    Goal(measure="a", what="sh -c, p99", text="≤ 3 x base", ratio=3.0),
    Goal(measure="a", what="callable with lead, p50", text="≤ 0.5 ms", most=0.5),
    *(
        Goal(measure="a", what=f"{what}, earliest", text="≥ 0", least=0.0)
        for what in ("callable", "argv", "sh -c", "callable with lead")
    ),
    Goal(measure="b", what="callable: CPU per run", text="≤ 2.5 x base", ratio=2.5),
    Goal(measure="b", what="callable: started per second", text="≥ 6 x a script under a peer", peers=6.0),
    Goal(measure="b", what="callable: last started after", text="≤ 2.5 x base", ratio=2.5),
    Goal(measure="b", what="callable: status meanwhile, longest", text="≤ 100 ms", most=100.0),
    Goal(measure="c", what="10,000 definitions: ready, cold", text="≤ 1.2 x tomllib", ratio=1.2),
    Goal(measure="c", what="10,000 definitions: ready, warm", text="≤ 0.6 x tomllib", ratio=0.6),
    Goal(measure="c", what="10,000 definitions: akjob up to status, warm", text="≤ 1.5 s", most=1.5),
    Goal(measure="c", what="10,000 definitions: akjob up to status, cold", text="≤ 1.65 s", most=1.65),
    Goal(measure="c", what="10,000 definitions: validate", text="≤ 1 x tomllib", ratio=1.0),
    Goal(measure="c", what="10,000 definitions: validate, CPU", text="≤ 1.5 x tomllib", ratio=1.5),
    Goal(measure="c", what="10,000 definitions: idle, CPU a minute", text="≤ 1.5 x two bare looks", ratio=1.5),
    Goal(measure="c", what="10,000 definitions: idle, wake-ups a minute", text="≤ 6", most=6.0),
    Goal(measure="c", what="10,000 definitions: memory of akjobd (PSS)", text="≤ 80 MB", most=80.0),
    Goal(measure="d", what="edit 1 of 10,000: live after, p50", text="≤ 10 ms", most=10.0),
    Goal(measure="d", what="edit 1 of 10,000: live after, p99", text="≤ 50 ms", most=50.0),
    Goal(measure="d", what="edit 1 of 10,000: files read, most", text="1", most=1.0, least=1.0),
    Goal(measure="e", what="one running callable", text="≤ 2.6 MB", most=2.6),
    Goal(measure="e", what="one running command", text="≤ 1.25 MB", most=1.25),
    Goal(measure="e", what="idle: akjobd, zygote and collector", text="≤ 60 MB", most=60.0),
    Goal(measure="e", what="idle: all programs, page and messages included", text="≤ 120 MB", most=120.0),
    Goal(measure="e", what="idle: wake-ups a minute of all programs but supervisord", text="≤ 12", most=12.0),
    Goal(measure="f", what="one job: lines a second", text="≥ 1,000,000/s", least=1_000_000.0),
    Goal(measure="f", what="ten at once: slowest of their mean", text="≥ 0.8", least=0.8),
    Goal(measure="f", what="ten at once: fastest of their mean", text="≤ 1.2", most=1.2),
    Goal(measure="f", what="another's line meanwhile, p99", text="≤ 20 ms", most=20.0),
    Goal(measure="h", what="callable, every 1 s, p50", text="≤ 1.5 x base", ratio=1.5),
    Goal(measure="h", what="argv, every 1 s, p50", text="≤ 1.5 x base", ratio=1.5),
    Goal(measure="h", what="sh -c, every 1 s, p50", text="≤ 1.3 x base", ratio=1.3),
    Goal(measure="h", what="callable, every 60 s, p50", text="≤ 1.5 x base", ratio=1.5),
    Goal(measure="h", what="callable, every 600 s, p50", text="≤ 1.5 x base", ratio=1.5),
    Goal(measure="h", what="callable with lead, every 1 s, p50", text="≤ 0.5 ms", most=0.5),
    *(
        Goal(measure="h", what=f"{what}, every 1 s, p99", text="≤ 3 x base", ratio=3.0)
        for what in ("callable", "argv", "sh -c")
    ),
    Goal(measure="i", what="/metrics with 1,000 jobs, p50", text="≤ 30 ms", most=30.0),
    Goal(measure="i", what=f"{LOOKED_AT}, p99", text="± 5 % of none of it", ratio=1.05),
    Goal(measure="i", what=SIMULATED, text="≤ 2 s", most=2.0),
    Goal(measure="j", what="a year of 100 jobs", text="≤ 2 s", most=2.0),
    *(Goal(measure="k", what=f"{page}: server CPU, p50", text="≤ 20 ms", most=20.0) for page in PAGES),
    *(Goal(measure="k", what=f"{page}: server CPU, p99", text="≤ 60 ms", most=60.0) for page in PAGES),
    *(
        Goal(measure="k", what=f"{page}: wall, p50", text="≤ 20 ms, ≤ 1.3 x base", most=20.0, ratio=1.3)
        for page in PAGES
    ),
    *(Goal(measure="k", what=f"{page}: wall, p99", text="≤ 60 ms", most=60.0) for page in PAGES),
    *(
        Goal(measure="k", what=f"{page}: rows that one question reads, at most", text="≤ 20,000", most=20_000.0)
        for page in PAGES
    ),
    Goal(measure="k", what="its page opens with a log of 1,000,000 lines, wall", text="≤ 200 ms", most=200.0),
    Goal(measure="k", what="lines searched for a plain word, wall", text="≥ 1,000,000/s", least=1_000_000.0),
    Goal(measure="k", what="ready", text="≤ 0.6 s", most=0.6),
    Goal(measure="k", what="akjob-web (PSS)", text="≤ 60 MB", most=60.0),
    Goal(measure="k", what="wake-ups a minute without a client", text="≤ 5", most=5.0),
    Goal(measure="l", what=f"{START}, p50", text="≤ 15 ms", most=15.0),
    Goal(measure="l", what=f"{START}, p99", text="≤ 60 ms", most=60.0),
    Goal(measure="l", what=QUERIES, text="≤ 20", most=20.0),
    Goal(measure="l", what=MEMORY, text="≤ 60 MB", most=60.0),
    Goal(measure="k", what="SIGTERM with 20 open streams: ended after", text="≤ 1 s", most=1.0),
    Goal(measure="k", what="layout shift, most of five pages", text="0", most=0.0),
    Goal(measure="k", what="key or click to the next frame, slowest", text="≤ 100 ms", most=100.0),
    Goal(measure="k", what=f"start to screen, p95: {ALONE}", text="≤ 500 ms", most=500.0),
    Goal(measure="k", what=f"start to screen, p95: {LOADED}", text="≤ 500 ms", most=500.0),
    Goal(measure="k", what="akjob-web's share of a core meanwhile", text="≤ 10 %", most=10.0),
    Goal(measure="g", what="history: 500,000 rows against none", text="≤ 0.3 s more", most=0.3),
    *(Goal(measure="g", what=f"large: {command}, more than empty", text="≤ 0.3 s", most=0.3) for command in COMMANDS),
    Goal(measure="g", what="large, pruned: status meanwhile, longest", text="≤ 100 ms", most=100.0),
    Goal(measure="g", what="large, pruned: a start every second, p50", text="≤ 10 ms", most=10.0),
    Goal(measure="g", what="large, pruned: the ledger's growth", text="≤ 1 MB", most=1.0),
    Goal(measure="g", what="large, pruned: its write-ahead log", text="≤ 80 MB", most=80.0),
)


def ratio(book: Book, figure: Figure) -> float | None:
    """Return akjob's median as a multiple of the base's."""
    base = book.get(figure.measure, figure.what, BASE)
    if base is None or base is figure or not base.median:
        return None
    return figure.median / base.median


def verdict(book: Book, goal: Goal) -> str:
    """Return ``met``, ``missed`` with by how much, or an empty text where nothing was measured."""
    figure = book.get(goal.measure, goal.what, AKJOB)
    if figure is None:
        return ""
    if figure.lost or figure.twice:
        return f"no figure: {figure.lost} lost, {figure.twice} twice"
    times = ratio(book, figure)
    if goal.ratio < float("inf") and times is None:
        return ""
    peers = [book.get(goal.measure, goal.what, who) for who in PEERS]
    best = max((peer.median for peer in peers if peer is not None), default=0.0)
    if goal.peers and not best:
        return ""
    met = (
        (not goal.peers or figure.median >= goal.peers * best)
        and goal.least <= figure.median <= goal.most
        and (times is None or times <= goal.ratio)
    )
    return "met" if met else "**missed**"


def of(measure: str, what: str) -> Goal | None:
    """Return the goal of a figure, if there is one."""
    return next((goal for goal in GOALS if (goal.measure, goal.what) == (measure, what)), None)
