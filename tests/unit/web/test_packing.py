"""Answers of text are packed for those that take gzip."""

import gzip

import httpx
import pytest

from tests.unit.cli.root import Root
from tests.unit.web.serving import Served

LIST = "/api/v1/openapi.json"


def wire(client: httpx.Client, path: str, accepted: str) -> tuple[httpx.Response, bytes]:
    """Return an answer, and its bytes as they were sent."""
    with client.stream("GET", path, headers={"Accept-Encoding": accepted}) as answer:
        return answer, b"".join(answer.iter_raw())


@pytest.mark.parametrize("path", ["/", "/static/akjob.css", "/static/akjob.js", LIST])
def test_text_is_packed(site: Served, path: str) -> None:
    """To a third at the most, and it is the same text."""
    client = site.browser()
    answer, packed = wire(client, path, "gzip, deflate, br")
    assert (answer.headers["content-encoding"], answer.headers["vary"]) == ("gzip", "Accept-Encoding")
    assert int(answer.headers["content-length"]) == len(packed)
    plain, body = wire(client, path, "identity")
    assert "content-encoding" not in plain.headers
    assert len(packed) < len(body) / 2
    if path != "/":  # a page has a new key each time
        assert gzip.decompress(packed) == body


@pytest.mark.parametrize("accepted", ["", "br", "gzip;q=0", "gzip; q=0.0", "x-gzip"])
def test_who_does_not_take_gzip_gets_plain_text(site: Served, accepted: str) -> None:
    """A weight of 0 is a refusal."""
    answer, _ = wire(site.browser(), LIST, accepted)
    assert "content-encoding" not in answer.headers


def test_small_answers_streams_and_bytes_are_as_they_are(root: Root, site: Served) -> None:
    """Events come one by one, and a range is one of the bytes themselves."""
    root.job("tick", 'command = ["true"]\n')
    client = site.token("admin")
    root.run("01m85ajwkd1sc8zp", "tick", -5, state="succeeded")
    for path in ("/healthz", "/api/v1/runs/01m85ajwkd1sc8zp/log?raw=1", "/api/v1/runs/01m85ajwkd1sc8zp/log"):
        answer, _ = wire(client, path, "gzip")
        assert (answer.status_code, "content-encoding" in answer.headers) == (200, False), path
    with client.stream("GET", "/api/v1/events", headers={"Accept-Encoding": "gzip"}) as events:
        assert "content-encoding" not in events.headers
