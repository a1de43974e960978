"""What the commands and the other programs ask of akjobd, and what it answers: one JSON object a line each way.

A request names its answer: ``Client.call`` of a ``RunJob`` returns a ``RunClaimed``, or raises what a ``Refused`` says.
Answers come in the order of the requests, but for those of :data:`SLOW`, which come when what they wait for has
happened; a connection that sent one should send nothing else.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Generic, Literal, TypeVar, Union, get_args

import msgspec
from msgspec import Struct

from akjob.control.status import RunningRun, Status
from akjob.errors import AkjobError, UnreachableError, UsageError

Kind = Literal["refused", "usage", "unreachable"]
UPGRADED = "restart akjobd after an upgrade"

# -- answers


class Answer(Struct, frozen=True, kw_only=True, tag_field="answer"):
    """What akjobd answers to a request."""


A = TypeVar("A", bound=Answer)


class Done(Answer, frozen=True, tag="done"):
    """It is done, and in the ledger where it has to be."""


class Refused(Answer, frozen=True, kw_only=True, tag="refused"):
    """It is not done; ``kind`` tells which error the command ends with."""

    message: str
    hint: str = ""
    kind: Kind = "refused"

    @classmethod
    def of(cls, error: AkjobError) -> "Refused":
        """Return the answer that makes a client raise this error."""
        kinds = [kind for kind, one in _ERRORS.items() if isinstance(error, one)]
        return cls(message=error.message, hint=error.hint, kind=kinds[-1])

    @property
    def error(self) -> AkjobError:
        """The error that a client raises."""
        return _ERRORS[self.kind](self.message, hint=self.hint)


_ERRORS: Mapping[Kind, type[AkjobError]] = {
    "refused": AkjobError,
    "usage": UsageError,
    "unreachable": UnreachableError,
}


class StatusIs(Answer, frozen=True, kw_only=True, tag="status"):
    """Answers :class:`GetStatus`."""

    status: Status


class RunningAre(Answer, frozen=True, kw_only=True, tag="running"):
    """Answers :class:`GetRunning`."""

    running: tuple[RunningRun, ...]


class RunClaimed(Answer, frozen=True, kw_only=True, tag="claimed"):
    """The id of the run: its row is in the ledger."""

    run: str


class RunEnded(Answer, frozen=True, kw_only=True, tag="ended"):
    """The ledger's row of a run that has ended, as ``akjob history --json`` prints it."""

    row: dict[str, Any]


class RunsStopped(Answer, frozen=True, kw_only=True, tag="stopped"):
    """The ids of the runs, or of the backfill, that are being ended."""

    stopped: tuple[str, ...]


class RunTaken(Answer, frozen=True, kw_only=True, tag="taken"):
    """``taken``: the run is this node's, and under way; ``gone``: it is over, or another node has it.

    ``not_here``: this node does not take it now, and says why; another one may.
    """

    state: Literal["taken", "gone", "not_here"]
    reason: str = ""


class BackfillBegun(Answer, frozen=True, kw_only=True, tag="backfill"):
    """The backfill's id, or None for one that was only asked about, and its slots in their order."""

    job: str
    slots: tuple[str, ...]
    id: str | None = None


# -- requests


class Request(Struct, Generic[A], frozen=True, kw_only=True, tag_field="op", forbid_unknown_fields=True):
    """What akjobd is asked for; ``answer`` is the type of the answer, where it is not refused."""

    answer: ClassVar[type[Answer]] = Done


class GetStatus(Request[StatusIs], frozen=True, tag="status"):
    """What ``akjob status`` shows."""

    answer = StatusIs


class GetRunning(Request[RunningAre], frozen=True, tag="running"):
    """The runs that run now."""

    answer = RunningAre


class RunJob(Request[RunClaimed], frozen=True, kw_only=True, tag="run"):
    """Run a job now. ``args`` are keyword arguments in the form of :func:`akjob.toml.wire.to_json`."""

    answer = RunClaimed

    job: str
    args: dict[str, Any] = {}
    by: str | None = None
    reason: str | None = None


class WaitForRun(Request[RunEnded], frozen=True, kw_only=True, tag="wait"):
    """Answer when a run has ended."""

    answer = RunEnded

    run: str


class TakeRun(Request[RunTaken], frozen=True, kw_only=True, tag="take"):
    """Run what was delivered to this node of a cluster."""

    answer = RunTaken

    run: str


class StopRuns(Request[RunsStopped], frozen=True, kw_only=True, tag="stop"):
    """End a run (by the beginning of its id), all runs of a job, or a backfill."""

    answer = RunsStopped

    target: str
    by: str | None = None
    reason: str | None = None


class BeginBackfill(Request[BackfillBegun], frozen=True, kw_only=True, tag="backfill", rename={"begin": "from"}):
    """Run the slots of a job from one instant until another (ISO 8601), that one not included.

    With ``dry_run`` only answer which slots these are.
    """

    answer = BackfillBegun

    job: str
    begin: str
    until: str
    only: Literal["missing", "failed", "all"] = "missing"
    parallel: int = 1
    newest_first: bool = False
    dry_run: bool = False
    by: str | None = None


class PauseJob(Request[Done], frozen=True, kw_only=True, tag="pause"):
    """Start nothing of a job until an instant (ISO 8601), or until it is resumed."""

    job: str
    until: str | None = None
    reason: str | None = None
    by: str | None = None


class ResumeJob(Request[Done], frozen=True, kw_only=True, tag="resume"):
    """End a pause."""

    job: str
    by: str | None = None


class ResetJob(Request[Done], frozen=True, kw_only=True, tag="reset"):
    """Forget how many runs a job has had."""

    job: str
    by: str | None = None


class Drain(Request[Done], frozen=True, kw_only=True, tag="drain"):
    """Start nothing more while this connection lasts; answer when nothing runs. ``kill`` ends what runs."""

    kill: bool = False


class Scan(Request[Done], frozen=True, tag="scan"):
    """Scan the folder of job files now."""


AnyRequest = Union[  # noqa: UP007 - evaluated at run time, below
    GetStatus,
    GetRunning,
    RunJob,
    WaitForRun,
    TakeRun,
    StopRuns,
    BeginBackfill,
    PauseJob,
    ResumeJob,
    ResetJob,
    Drain,
    Scan,
]
SLOW = (WaitForRun, Drain)
"""What is answered when something has happened, whenever that is."""

OPERATIONS: Mapping[str, type[Request[Any]]] = {
    str(one.__struct_config__.tag): one for one in get_args(AnyRequest)
}  # fmt: skip

_DECODER: msgspec.json.Decoder[AnyRequest] = msgspec.json.Decoder(AnyRequest)


class _Operation(Struct):
    op: str


def decode_request(line: bytes) -> AnyRequest | Refused:
    """Return the request in a line, or the answer to one that cannot be read: mostly of another akjob's version."""
    try:
        op = msgspec.json.decode(line, type=_Operation).op
        if op not in OPERATIONS:
            return Refused(message=f"akjobd does not know the request {op!r}", hint=UPGRADED)
        return _DECODER.decode(line)
    except msgspec.DecodeError as error:
        return Refused(message=f"akjobd cannot read the request: {error}", hint=UPGRADED, kind="usage")


def decode_answer(line: bytes, request: Request[A]) -> A:
    """Return the answer to a request. Raises the AkjobError that a refusal stands for."""
    try:
        answer = msgspec.json.decode(line, type=Refused | request.answer)
    except msgspec.DecodeError as error:
        raise AkjobError(f"akjobd answers in a form that this akjob does not know: {error}", hint=UPGRADED) from error
    if isinstance(answer, Refused):
        raise answer.error
    found: A = answer
    return found
