"""``akjob doctor``: what usually goes wrong on a machine, looked for."""

import os
from collections.abc import Sequence

import click

from akjob.cli.common import colours, examples, find_paths, json_option, now_us, say, say_json
from akjob.cli.control import ask
from akjob.cli.text import paint
from akjob.config import Paths, load_config
from akjob.control.requests import GetStatus
from akjob.control.status import Status
from akjob.doctor import Diagnosis, Subject, examine
from akjob.errors import AkjobError
from akjob.program import own_uid
from akjob.query.text import plural

_COLOURS = {"fine": "green", "warning": "yellow", "wrong": "red"}


@click.command(name="doctor", epilog=examples("akjob doctor", "sudo -u akjob akjob doctor --root /srv/jobs"))
@json_option
def command(*, as_json: bool) -> None:
    """Check this machine and this root for what usually goes wrong, and say what to do.

    Looks at paths, rights, disk, kernel, limits, control groups, inotify, clock, time zones, programs, extras, the port
    of the page, git, and the Pythons that jobs name. Changes nothing. Exits with 1 if something is wrong; a warning is
    not. Call it as the user that akjob runs as.
    """
    paths = find_paths()
    config, problems = load_config(paths.config_file)
    subject = Subject(
        paths=paths,
        config=config,
        problems=problems,
        status=_status(paths),
        uid=own_uid(paths),
        now_us=now_us(),
        environment=os.environ,
    )
    found = list(examine(subject))
    if as_json:
        say_json(*found)
    else:
        say(_lines(found))
    if any(one.state == "wrong" for one in found):
        raise SystemExit(1)


def _status(paths: Paths) -> Status | None:
    try:
        return ask(paths, GetStatus()).status
    except AkjobError:
        return None


def _lines(found: Sequence[Diagnosis]) -> list[str]:
    lines = []
    width = max(len(one.check) for one in found)
    for one in found:
        state = paint(f"{one.state:<7}", _COLOURS[one.state], on=colours())
        lines.append(f"{state}  {one.check:<{width}}  {one.message}")
        lines += [f"{'':<{width + 9}}  {line}" for line in one.hint.splitlines()]
    wrong, warned = (sum(one.state == state for one in found) for state in ("wrong", "warning"))
    said = [plural(wrong, "thing") + (" is wrong" if wrong == 1 else " are wrong")] if wrong else []
    said += [plural(warned, "warning")] if warned else []
    return [*lines, "", f"{', '.join(said) or 'Nothing is wrong'}."]
