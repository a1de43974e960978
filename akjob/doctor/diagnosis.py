"""What a check is given and what it answers."""

from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct

from akjob.config import Config, Paths
from akjob.control.status import Status
from akjob.errors import Problem

State = Literal["fine", "warning", "wrong"]


class Diagnosis(Struct, frozen=True):
    """What one check found: ``message`` is what there is, ``hint`` what to do about it, empty where it is fine."""

    check: str
    state: State
    message: str
    hint: str = ""


class Subject(Struct, frozen=True, kw_only=True):
    """The root and the machine that are looked at.

    ``problems`` are those of ``etc/akjob.toml``; ``status`` is akjobd's, None where it does not answer; ``uid`` is the
    user that the programs run as; ``proc`` is where the kernel shows processes.
    """

    paths: Paths
    config: Config
    problems: Sequence[Problem]
    status: Status | None
    uid: int
    now_us: int
    environment: Mapping[str, str]
    proc: str = "/proc"
