"""``akjob show``: one job, all that is known of it."""

from collections.abc import Iterator, Mapping

import click
from msgspec.structs import replace

from akjob.cli import complain
from akjob.cli.broken import origin
from akjob.cli.common import colours, examples, find_paths, json_option, now_us, say, say_json, settings
from akjob.cli.list import state_of, words_of
from akjob.cli.text import paint, state_cell
from akjob.config import Paths
from akjob.errors import AkjobError, UsageError, escape_control
from akjob.instants import from_text
from akjob.jobset.git import Provenance, Revision
from akjob.ledger import open_reader
from akjob.query import changes as query_changes
from akjob.query.changes import Changes
from akjob.query.jobs import JobView, load
from akjob.query.loaded import difference
from akjob.query.names import names_meant
from akjob.query.text import relative, stamp
from akjob.schedule import describe, get_zone
from akjob.spec import definition_table
from akjob.spec.model import Command, DillFile, JobSpec

_LABEL = 12


@click.command(
    name="show",
    epilog=examples(
        "akjob show reports/nightly",
        "akjob show reports/nightly --at 01m85ajwkd1sc8zp",
        "akjob show reports/nightly --json | jq .definition.run.timeout",
    ),
)
@click.argument("job", metavar="JOB")
@click.option("--at", "run", metavar="RUN", help="The definition that this run was made from, and nothing else.")
@click.option("--since-success", is_flag=True, help="What changed since the job's last success, and nothing else.")
@json_option
def command(job: str, run: str | None, *, since_success: bool, as_json: bool) -> None:
    """Show one job: its state, its schedule in words, its resolved definition with all defaults.

    Of a broken job: what runs, what was refused, since when, and by which commit.
    """
    paths = find_paths()
    if run is not None:
        _show_at(paths, job, run, as_json=as_json)
        return
    config = settings(paths)
    snapshot = load(paths, config, now_us())
    found = snapshot.find(job)
    if since_success:
        changes = query_changes.since_success(open_reader(paths.ledger_url), paths, config, found)
        say_json(changes) if as_json else say(map(escape_control, _changes(changes, found.now_us)))
        return
    if as_json:
        say_json(found.shown(Provenance(paths).refresh_now().commit))
    else:
        say(_lines(found, paths, colour=colours()))
        other = difference(snapshot)
        if other is not None and found.name in other.jobs:
            complain(*words_of(replace(other, jobs=(found.name,)), str(paths.root)))


def _show_at(paths: Paths, job: str, run: str, *, as_json: bool) -> None:
    """Print the definition that a run had. Raises AkjobError where it is not, or no longer, known."""
    reader = open_reader(paths.ledger_url)
    row = reader.run(run)
    if row["job"] not in names_meant(paths, job):
        raise UsageError(f"run {row['id']} is one of {row['job']}, not of {job}", hint="")
    sha256 = row["definition_sha256"]
    text = None if sha256 is None else reader.definition(sha256)
    if text is None:
        raise AkjobError(f"no definition is stored for run {row['id']}: it never started, or it was pruned")
    if as_json:
        from akjob.spec import load_definition

        definition = definition_table(load_definition(row["job"], f"jobs.d/{row['job']}.toml", text))
        commit = {"git_commit": row["git_commit"], "git_dirty": row["git_dirty"]}
        say_json({"job": row["job"], "run": row["id"], "definition": definition, "definition_sha256": sha256, **commit})
        return
    click.echo(f"# {row['job']} as run {row['id']} had it: {sha256}{_commit(row)}")
    say(map(escape_control, text.rstrip("\n").split("\n")))


def _changes(changes: Changes, now: int) -> Iterator[str]:
    """Yield what changed since the last success, what did not left out."""
    if changes.run is None or changes.at is None:
        yield f"{changes.job}: {changes.notes[0]}."
        return
    at_us = from_text(changes.at)
    yield f"{changes.job}: last success {stamp(at_us)} ({relative(at_us, now)}), run {changes.run}"
    lines = [*_changed_values(changes), *(f"  not committed  {file}" for file in changes.uncommitted)]
    for one in changes.commits:
        lines.append(f"  commit         {one.commit[:12]}  {one.at}  {one.author}: {one.subject}")
        lines += [f"                   {file}" for file in one.files]
    if changes.definition is not None:
        lines.append(f"  definition     {changes.definition.before[:8]}, now {changes.definition.after[:8]}")
        lines += [f"    {line}" for line in changes.definition.diff]
    yield from lines or ["  nothing changed: definition, commits, interpreter and host are as they were"]
    yield from (f"  note           {note}" for note in changes.notes)


def _changed_values(changes: Changes) -> Iterator[str]:
    own = "akjob's own"
    for name, value, default in (("host", changes.host, "unknown"), ("interpreter", changes.interpreter, own)):
        if value is not None:
            yield f"  {name:<13}  {value.before or default}, now {value.after or default}"


def _commit(row: Mapping[str, object]) -> str:
    if row["git_commit"] is None:
        return ""
    dirty = ", from which it differed" if row["git_dirty"] else ""
    return f", commit {row['git_commit']}{dirty}"


def _lines(job: JobView, paths: Paths, *, colour: bool) -> list[str]:
    """Write the job for people."""
    lines = [paint(escape_control(job.name), "bold", on=colour) + f"  {escape_control(job.file)}"]
    state = state_of(job)
    facts = [("state", paint(state.text, state.colour, on=colour))]
    facts += [(label, escape_control(text)) for label, text in _pause(job) + _broken(job)]
    spec = job.spec
    if spec is not None:
        lines += [escape_control(spec.description)] if spec.description else []
        facts += [("tags", escape_control(", ".join(spec.tags)))] if spec.tags else []
        owned = (("owner", spec.owner), ("runbook", spec.runbook))
        facts += [(label, escape_control(text)) for label, text in owned if text]
        facts.append(("runs", escape_control(code_of(spec))))
        facts += [("schedule" if i == 0 else "", words) for i, words in enumerate(describe(spec.schedule, job.now_us))]
        facts += _slots(job, spec)
    if job.last is not None:
        outcome = state_cell(job.last[0])
        when = f"{stamp(job.last[1])}  {relative(job.last[1], job.now_us)}"
        facts.append(("last", f"{paint(outcome.text, outcome.colour, on=colour)}  {when}"))
    if spec is not None:
        limit = f" of {spec.runs}" if spec.runs is not None else ""
        facts.append(("started", f"{job.runs_started}{limit}"))
        facts.append(("version", _version(job, spec, Provenance(paths).refresh_now())))
    lines += [f"  {label:<{_LABEL}}{text}" for label, text in facts]
    if spec is not None:
        lines += ["", *(f"  {escape_control(line)}".rstrip() for line in spec.definition.rstrip("\n").split("\n"))]
    return lines


def _version(job: JobView, spec: JobSpec, revision: Revision) -> str:
    if revision.commit is None:
        return spec.sha256[:8]
    dirty = ", from which it differs" if job.broken is not None or revision.is_dirty(spec.sources) else ""
    return f"{spec.sha256[:8]}, commit {revision.commit[:8]}{dirty}"


def _pause(job: JobView) -> list[tuple[str, str]]:
    pause = job.pause
    if pause is None:
        return []
    until = "until it is resumed" if pause.until_us is None else f"until {stamp(pause.until_us)}"
    by = f" by {pause.by}" if pause.by else ""
    reason = f": {pause.reason}" if pause.reason else ""
    return [("paused", f"{until}, since {stamp(pause.since_us)}{by}{reason}")]


def _broken(job: JobView) -> list[tuple[str, str]]:
    """Return what runs, what was refused, since when, and by which commit."""
    broken = job.broken
    if broken is None:
        return []
    since = f"since {stamp(broken.since_us)} ({relative(broken.since_us, job.now_us)})"
    facts = [("refused", f"{broken.file}:{broken.line}:{broken.column}: {broken.message}"), ("", since)]
    source = origin(job.origin[0], dirty=job.origin[1], short=None)
    facts += [("", source)] if source else []
    facts += [("", broken.hint)] if broken.hint else []
    others = sum(problem.severity == "error" for problem in broken.problems) - 1
    facts += [("", f"and {others} more: `akjob validate {broken.file}`")] if others > 0 else []
    if job.spec is None:
        return [*facts, ("runs", "nothing: no version of it was ever good")]
    loaded = "" if job.row is None else f", loaded {stamp(from_text(job.row['last_loaded_at']))}"
    return [*facts, ("in force", f"the last good version, {job.spec.sha256[:8]}{loaded}")]


def _slots(job: JobView, spec: JobSpec) -> list[tuple[str, str]]:
    zone = get_zone(spec.schedule.zone)
    slots = job.next_slots(job.now_us, 3)
    note = ", but it is disabled" if not spec.enabled else ", but it is paused" if job.pause is not None else ""
    rows = [f"{stamp(slot, zone)}  {relative(slot, job.now_us)}{note}" for slot in slots]
    return [("next" if i == 0 else "", row) for i, row in enumerate(rows or [job.without_slots])]


def code_of(spec: JobSpec) -> str:
    """Return what a job runs."""
    import shlex

    code = spec.code
    if isinstance(code, Command):
        return shlex.join(code.argv) if code.argv is not None else (code.shell or "").strip()
    target = f"{code.file} (dill, Python {code.python})" if isinstance(code, DillFile) else code.target
    arguments = [repr(value) for value in spec.args] + [f"{key}={value!r}" for key, value in spec.kwargs.items()]
    return f"{target}({', '.join(arguments)})" if arguments else target
