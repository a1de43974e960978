"""Who asks, and which jobs they may know of: the one decision, for lists, counts, searches, streams and logs alike."""

import re
from functools import lru_cache
from typing import Literal

from msgspec import Struct

Scope = Literal["read", "operate", "admin", "metrics"]

_TOKENS = re.compile(r"\*\*/|\*\*|\*|\?|[^*?]+")
_PATTERNS = {"**/": r"(?:.*/)?", "**": r".*", "*": r"[^/]*", "?": r"[^/]"}


class Principal(Struct, frozen=True, kw_only=True):
    """Who asks: ``name`` is what the ledger notes as ``by``; ``jobs`` is a glob, None for all jobs.

    ``credential`` identifies what the principal came with, a session or a token, and is never a secret.
    """

    name: str
    scope: Scope
    jobs: str | None = None
    credential: str = ""


def visible(principal: Principal, job: str | None) -> bool:
    """Return True if the principal may know of the job. What belongs to no job is for those who may see all."""
    if principal.jobs is None:
        return True
    return job is not None and _compiled(principal.jobs).fullmatch(job) is not None


def matches(glob: str, job: str) -> bool:
    """Return True if a job's name fits a glob: ``*`` does not cross ``/``, ``**`` does, ``**/`` may be nothing."""
    return _compiled(glob).fullmatch(job) is not None


@lru_cache(maxsize=256)
def _compiled(glob: str) -> re.Pattern[str]:
    parts = (_PATTERNS.get(token) or re.escape(token) for token in _TOKENS.findall(glob))
    return re.compile("".join(parts))
