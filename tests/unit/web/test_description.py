"""The description of the API: every route is in it, nothing else is, and the answers are as it says."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from akjob.web.api.description import describe
from akjob.web.app import ROUTES
from tests.unit.cli.root import Root, output
from tests.unit.web.serving import Served, served

RUN = "01m85ajwkd1sc8zp"
API = [route for route in ROUTES if route.path.startswith("/api/")]
OPERATIONS = sorted(f"{method.upper()} {path}" for path, found in describe(API)["paths"].items() for method in found)


def test_no_route_is_without_a_description_and_none_is_described_that_is_not_there() -> None:
    """Both ways."""
    there = sorted(f"{route.method} {re.sub(r':path', '', route.path)}" for route in API)
    assert there == OPERATIONS
    assert all(route.answers is not None for route in API)


def test_the_description_is_served_as_it_is_made(site: Served) -> None:
    """OpenAPI 3.1, whose references all lead somewhere."""
    found = site.token("read").get("/api/v1/openapi.json").json()
    assert found["openapi"] == "3.1.0"
    text = httpx.Response(200, json=found).text
    names = set(re.findall(r'#/components/schemas/([^"]+)"', text))
    assert names == set(names) & set(found["components"]["schemas"])
    assert {"Problem", "ApiJob", "Run", "Why", "Status"} <= set(found["components"]["schemas"])


@pytest.fixture
def filled(tmp_path: Path) -> Root:
    """Make a root with a job, a run and its log."""
    root = Root(tmp_path)
    spec = root.job("tick", 'command = ["true"]\ntags = ["x"]\n[schedule]\nevery = "1h"\n')
    assert spec is not None
    root.loaded(spec, last_state="failed", last_run=RUN, last_ended_us=0)
    root.run(RUN, "tick", -5, state="failed", reason="no", definition_sha256=spec.sha256)
    root.log(output(RUN, 1, "line"))
    root.job("bad", "command = 1\n")
    return root


FEW = settings(max_examples=15, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.mark.parametrize("operation", [one for one in OPERATIONS if not one.endswith("/events")])  # they do not end
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_answers_are_as_described(filled: Root, operation: str) -> None:
    """Of whatever is sent that the description allows, and of the job and the run that are there."""
    method, path = operation.split()
    with served(filled) as site:
        token = site.token("admin").headers["authorization"]
        schema = schemathesis.openapi.from_dict(describe(API))
        schema.config.update(base_url=site.url)
        found = schema[path][method]

        @settings(FEW)
        @given(case=found.as_strategy())
        def ask(case: Any) -> None:
            answer = case.call(headers={"Authorization": token})
            case.validate_response(answer, checks=CHECKS)

        ask()
        parts = {"id": RUN, "name": "tick"}
        named = found.Case(path_parameters={key: parts[key] for key in parts if f"{{{key}}}" in path})
        if method == "GET":
            answer = named.call(headers={"Authorization": token})
            assert answer.status_code == 200
            named.validate_response(answer, checks=CHECKS)
