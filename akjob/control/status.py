"""What ``akjob status --json`` prints, as values. Instants are ISO 8601 text in UTC."""

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from akjob import program
from akjob.config import Paths
from akjob.control import presence
from akjob.instants import to_text


class ProgramState(Struct, frozen=True, kw_only=True):
    """One program of the root, or the zygote.

    ``state`` is ``running``, ``stopped``, ``silent`` (it takes no lines of the log), ``blocked`` (it is up and cannot
    do its work) or ``off`` (it is up and has no work by the settings); ``trouble`` says why, and what to do.
    """

    pid: int | None = None
    since: str | None = None
    state: str = "stopped"
    trouble: str | UnsetType = UNSET

    @classmethod
    def of(cls, found: tuple[int, int] | None) -> "ProgramState":
        """Return the state of a program from its process id and the instant it started at; None: it does not run."""
        return cls() if found is None else cls(pid=found[0], since=to_text(found[1]), state="running")

    @property
    def is_well(self) -> bool:
        """Return True unless the program does no work that it should do."""
        return self.state in {"running", "off"}


_OPTIONAL = ("akjob-web", "akjob-notify", "akjob-node")


def beside_akjobd(paths: Paths, now_us: int) -> dict[str, ProgramState]:
    """Return the collector, and the programs that ``etc/supervisord.conf`` has besides, found by their locks."""
    try:
        named = (paths.etc / "supervisord.conf").read_text(encoding="utf-8", errors="replace")
    except OSError:
        named = ""
    names = ("akjob-collector", *(name for name in _OPTIONAL if f"[program:{name}]" in named))
    found = {name: ProgramState.of(program.find(paths, name, now_us)) for name in names}
    if presence.NAME in found:
        found[presence.NAME] = _page(paths, found[presence.NAME])
    return found


def _page(paths: Paths, state: ProgramState) -> ProgramState:
    """Return the state of akjob-web with what it says of itself: it may run, and another program have its port."""
    said = presence.read(paths)
    if said is None or said.pid != state.pid or not said.trouble:
        return state
    what = "off" if said.off else "running" if said.serves else "blocked"
    return replace(state, state=what, trouble=said.trouble)


class JobCounts(Struct, frozen=True, kw_only=True):
    """How many jobs there are."""

    loaded: int
    broken: int


class LoadedRevision(Struct, frozen=True, kw_only=True):
    """The commit that is checked out, whether the job files differ from it, and when they were loaded."""

    git_commit: str | None = None
    git_dirty: bool | None = None
    loaded_at: str | None = None


class BrokenFile(Struct, frozen=True, kw_only=True):
    """A file that was refused. ``job`` is None for ``etc/akjob.toml``.

    ``git_commit`` is the commit that the refused version is from, and ``git_dirty`` whether it differs from it.
    """

    job: str | None
    file: str
    line: int
    column: int
    message: str
    hint: str
    since: str
    git_commit: str | None = None
    git_dirty: bool | None = None
    running_last_good: bool | None = None


class RunningRun(Struct, frozen=True, kw_only=True):
    """One run that runs now; in a cluster with its ``node``."""

    job: str
    run: str
    pid: int | None = None
    shim_pid: int | None = None
    started_at: str | None = None
    node: str | UnsetType = UNSET


class UnplacedRun(Struct, frozen=True, kw_only=True):
    """A run that waits for a node of the cluster, and why none takes it."""

    job: str
    run: str
    reason: str


class MessageCounts(Struct, frozen=True, kw_only=True):
    """How many messages and pings wait, and how many were given up within the last week."""

    pending: int
    held: int
    dead: int


class Status(Struct, frozen=True, kw_only=True):
    """All of it.

    ``control_groups`` are the controllers that count for each run; None: no group is delegated.
    ``accounted_until`` is the instant before which every slot has a row, ``queued`` counts the runs that wait,
    by what they wait for. Fields with a default come from akjobd alone: a command that works without it leaves
    them out. ``held`` is why this node of a cluster claims and takes nothing; it is left out while it does.
    ``messages`` is what akjob-notify has to send: akjobd does not have it, and it is left out where there was none.
    ``waiting`` are the runs that no node of the cluster may take; it is left out where there is none.
    """

    root: str
    programs: dict[str, ProgramState]
    jobs: JobCounts
    revision: LoadedRevision
    broken: tuple[BrokenFile, ...]
    running: tuple[RunningRun, ...]
    control_groups: tuple[str, ...] | UnsetType | None = UNSET
    held_back: int | UnsetType = UNSET
    held: str | UnsetType = UNSET
    draining: bool | UnsetType = UNSET
    accounted_until: str | UnsetType = UNSET
    queued: dict[str, int] | UnsetType = UNSET
    messages: MessageCounts | UnsetType = UNSET
    waiting: tuple[UnplacedRun, ...] | UnsetType = UNSET
