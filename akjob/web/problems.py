"""What goes wrong with a request, as RFC 9457 has it: ``application/problem+json`` with a stable ``code``."""

from http import HTTPStatus

import msgspec
from msgspec import Struct
from starlette.responses import Response

from akjob.errors import AkjobError, UnreachableError, UsageError
from akjob.query.distant import AwayError

MEDIA_TYPE = "application/problem+json"

STATUS = {
    "bad-request": HTTPStatus.BAD_REQUEST,
    "no-credential": HTTPStatus.UNAUTHORIZED,
    "not-allowed": HTTPStatus.FORBIDDEN,
    "other-site": HTTPStatus.FORBIDDEN,
    "not-found": HTTPStatus.NOT_FOUND,
    "unknown-job": HTTPStatus.NOT_FOUND,
    "unknown-run": HTTPStatus.NOT_FOUND,
    "unknown-backfill": HTTPStatus.NOT_FOUND,
    "unknown-node": HTTPStatus.NOT_FOUND,
    "bad-method": HTTPStatus.METHOD_NOT_ALLOWED,
    "too-slow": HTTPStatus.REQUEST_TIMEOUT,
    "refused": HTTPStatus.CONFLICT,
    "in-doubt": HTTPStatus.CONFLICT,
    "too-large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "bad-media-type": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "bad-range": HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
    "unknown-host": HTTPStatus.MISDIRECTED_REQUEST,
    "bad-parameter": HTTPStatus.UNPROCESSABLE_ENTITY,
    "bad-body": HTTPStatus.UNPROCESSABLE_ENTITY,
    "key-reused": HTTPStatus.UNPROCESSABLE_ENTITY,
    "too-many-streams": HTTPStatus.TOO_MANY_REQUESTS,
    "internal": HTTPStatus.INTERNAL_SERVER_ERROR,
    "log-elsewhere": HTTPStatus.BAD_GATEWAY,
    "akjobd-unreachable": HTTPStatus.SERVICE_UNAVAILABLE,
    "ledger-unreadable": HTTPStatus.SERVICE_UNAVAILABLE,
}
"""Every code that a request can be answered with, and its status."""


class ProblemDetails(Struct, frozen=True, kw_only=True):
    """The body of an answer that is an error (RFC 9457). ``hint`` says what to do; it may be empty."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    hint: str = ""


class ProblemError(Exception):
    """Raised by a handler: the request is answered with this problem."""

    def __init__(self, code: str, detail: str, hint: str = "", headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        status = STATUS[code]
        self.headers = headers or {}
        self.problem = ProblemDetails(
            type=f"urn:akjob:problem:{code}",
            title=status.phrase,
            status=status.value,
            detail=detail,
            code=code,
            hint=hint,
        )

    def response(self) -> Response:
        """Return the answer."""
        body = msgspec.json.encode(self.problem)
        return Response(body, self.problem.status, self.headers, media_type=MEDIA_TYPE)


def of_akjob_error(error: AkjobError) -> ProblemError:
    """Return what a failure of the read model, or a refusal of akjobd, is as an answer."""
    kinds = (
        (UnreachableError, "akjobd-unreachable"),
        (UsageError, "bad-body"),
        (AwayError, "log-elsewhere"),
    )
    code = next((code for kind, code in kinds if isinstance(error, kind)), "refused")
    return ProblemError(code, error.message, error.hint)


def bad_parameter(name: str, value: object, expected: str) -> ProblemError:
    """Return the problem of a parameter of the query."""
    return ProblemError("bad-parameter", f"{name}={str(value)[:80]!r} is not {expected}", f"Give {name} as {expected}.")
