"""Where in a cluster a job's runs may be: which nodes have what it needs, and what is lacking where none has."""

from collections.abc import Sequence
from contextlib import suppress

from msgspec.structs import replace

from akjob.control.status import Status, UnplacedRun
from akjob.errors import AkjobError
from akjob.ledger import NodeTags, Reader
from akjob.spec import load_definition
from akjob.spec.model import JobSpec

_OUT = {"draining": "drained"}


def unplaced(spec: JobSpec, nodes: Sequence[NodeTags]) -> str:
    """Return why no node that is up may run a job; an empty text where one may, and where no nodes are known."""
    named = spec.run.where.removeprefix("node:") if spec.run.where.startswith("node:") else None
    there = [one for one in nodes if named in {None, one.node}]
    needs = set(spec.run.needs)
    fitting = [one for one in there if needs <= set(one.tags)]
    if not nodes or any(one.state == "up" for one in fitting):
        return ""
    if fitting:
        tags = f" with {_tags(needs)}" if needs else ""
        states = (f"{one.node} is {_OUT.get(one.state, one.state)}" for one in fitting)
        return f"no node{tags} is up: {', '.join(states)}"
    if named is not None and not there:
        return f"the cluster has no node {named}"
    if named is not None:
        return f"node {named} does not have {_tags(needs - set(there[0].tags))}"
    lacking = needs.difference(*(one.tags for one in there))
    return f"no node has {_tags(lacking)}" if lacking else f"no node has {_tags(needs)} together"


def with_waiting(status: Status, reader: Reader) -> Status:
    """Return a status with the runs that no node may take, unless the ledger is known to be away, or is."""
    if status.programs["akjobd"].state == "blocked":
        return status
    with suppress(AkjobError):
        nodes = reader.nodes()
        rows = [row for row in reader.open_runs() if row["state"] == "queued"] if nodes else []
        found = []
        for row in rows:
            sha256 = row["definition_sha256"]
            text = None if sha256 is None or row["node"] is not None else reader.definition(sha256)
            why = "" if text is None else unplaced(load_definition(row["job"], "", text), nodes)
            if why:
                found.append(UnplacedRun(job=row["job"], run=row["id"], reason=why))
        if found:
            return replace(status, waiting=tuple(found))
    return status


def _tags(tags: set[str]) -> str:
    return f"the {'tag' if len(tags) == 1 else 'tags'} {', '.join(sorted(tags))}"
