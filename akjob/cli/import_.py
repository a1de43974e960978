"""``akjob import``: job files made of what other schedulers have."""

import os
import pwd
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from akjob.cli import complain
from akjob.cli.common import examples, find_paths
from akjob.cli.text import plural
from akjob.errors import AkjobError
from akjob.imports import Import, Imported, Note

_ZONEINFO = "zoneinfo/"
_UNIT_FOLDERS = ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")


@click.group(
    name="import",
    epilog=examples(
        "crontab -l | akjob import crontab - --dry-run",
        "akjob import crontab /etc/crontab -o jobs.d/system",
        "akjob import systemd /etc/systemd/system/*.timer",
    ),
)
def command() -> None:
    """Write job files for what another scheduler runs. What cannot be translated is kept as a comment, and said."""


def _output_options(function: click.decorators.FC) -> click.decorators.FC:
    for option in (
        click.option("--timezone", metavar="ZONE", help="The time zone of its local times. Default: this machine's."),
        click.option("--force", is_flag=True, help="Overwrite files that are there."),
        click.option("--dry-run", is_flag=True, help="Print the files, write none."),
        click.option("-o", "--output", metavar="DIR", type=click.Path(path_type=Path), help="Default: jobs.d/"),
    ):
        function = option(function)
    return function


@command.command(name="crontab")
@click.argument("file", metavar="FILE", type=click.Path(allow_dash=True))
@click.option(
    "--system/--user",
    default=None,
    help="Whether a user stands before each command. Default: --system in /etc/crontab and /etc/cron.d, --user for -, "
    "which is what crontab -l prints; for another file a guess by its commands, which is said.",
)
@_output_options
def crontab(  # noqa: PLR0913 - the options of a command
    file: str, output: Path | None, timezone: str | None, *, system: bool | None, dry_run: bool, force: bool
) -> None:
    """Write a job file for each entry of a crontab; - is standard input.

    A job behaves as it did under cron: in the home folder, in the machine's time zone, without a time limit. Each file
    says what akjob offers instead.
    """
    from akjob.imports.crontab import is_system, owner_of, read_crontab

    text = _read(file)
    shown = "standard input" if file == "-" else file
    path = os.path.abspath(file)
    owner = None if file == "-" else owner_of(path)
    if system is None and owner is None:
        users = frozenset(entry.pw_name for entry in pwd.getpwall())
        looks = is_system(path, text, users, frozenset(filter(shutil.which, users)))
        system = looks and file != "-"
        kind = "a system crontab (a user before each command)" if system else "a user's crontab"
        doubt = "; a user of this machine stands before each command: is it --system?" if looks and not system else ""
        click.echo(f"{shown}: read as {kind}{doubt}", err=True)
    zone = timezone or machine_zone()
    made = read_crontab(text, file=shown, system=bool(system), zone=zone, home=_home, owner=owner)
    _deliver(made, output, dry_run=dry_run, force=force)


@command.command(name="systemd")
@click.argument("timers", metavar="TIMER...", nargs=-1, required=True)
@_output_options
def systemd(timers: tuple[str, ...], output: Path | None, timezone: str | None, *, dry_run: bool, force: bool) -> None:
    """Write a job file for each systemd timer with its service.

    TIMER is a .timer file, a folder of them, or the name of one in systemd's folders. The service is looked for beside
    it, then in systemd's folders. Drop-ins (NAME.timer.d/*.conf) are read, too.
    """
    from akjob.imports.systemd import parse_unit, read_timer, service_of

    zone = timezone or machine_zone()
    jobs: list[Imported] = []
    notes: list[Note] = []
    for wanted in _timers(timers):
        path = _unit_file(wanted if wanted.endswith(".timer") else f"{wanted}.timer")
        if path is None:
            hint = "Give the path of a .timer file, or of a folder of them."
            raise AkjobError(f"there is no timer {wanted}", hint=hint, exit_code=2)
        name = path.name.removesuffix(".timer")
        try:
            unit = service_of(parse_unit(_unit_text(path)), name)
            service = _unit_file(unit, beside=path.parent)
            made = read_timer(
                _unit_text(path), None if service is None else _unit_text(service), name=name, timer_file=str(path),
                service_file=unit if service is None else str(service), zone=zone, home=_home,
            )  # fmt: skip
        except ValueError as error:
            notes.append(Note(str(path), 1, str(error)))
            continue
        jobs += made.jobs
        notes += made.notes
    _deliver(Import(tuple(jobs), tuple(notes)), output, dry_run=dry_run, force=force)


def _timers(wanted: Iterable[str]) -> Iterator[str]:
    """Yield what was named, and for a folder the timers in it."""
    for one in wanted:
        if Path(one).is_dir():
            yield from (str(path) for path in sorted(Path(one).glob("*.timer")))
        else:
            yield one


def _read(file: str) -> str:
    """Read a crontab; bytes that are no UTF-8 are kept, as surrogates."""
    try:
        whole = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return whole.decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        raise AkjobError(f"{file} is not there", hint="Name a crontab, or - for standard input.", exit_code=2) from None


def _unit_file(name: str, beside: Path | None = None) -> Path | None:
    """Find a unit: as a path, beside its timer, in systemd's folders; of an instance (x@a) also its template (x@)."""
    stem, _, ending = name.rpartition(".")
    names = [name]
    if "@" in stem and not stem.endswith("@"):
        names.append(f"{stem.partition('@')[0]}@.{ending}")
    folders = [Path()] if beside is None else [beside]
    for folder in (*folders, *map(Path, _UNIT_FOLDERS)):
        for candidate in names:
            if (folder / candidate).is_file():
                return folder / candidate
    return None


def _unit_text(path: Path) -> str:
    """Read a unit and its drop-ins, these in the order of their names."""
    parts = [path, *sorted(path.with_name(path.name + ".d").glob("*.conf"))]
    return "\n".join(part.read_text("utf-8", "surrogateescape") for part in parts)


def machine_zone() -> str:
    """Return the name of this machine's time zone: $TZ, what /etc/localtime links to, /etc/timezone, else UTC."""
    wanted = os.environ.get("TZ", "").lstrip(":")
    if wanted and "/" in wanted and not wanted.startswith("/"):
        return wanted
    target = os.path.realpath("/etc/localtime")
    if _ZONEINFO in target:
        return target.partition(_ZONEINFO)[2].removeprefix("posix/").replace("Etc/UTC", "UTC")
    try:
        return Path("/etc/timezone").read_text().strip().replace("Etc/UTC", "UTC") or "UTC"
    except OSError:
        return "UTC"


def _home(user: str | None) -> str | None:
    """Return the home folder of a user, of this one for None; None when it is not on this machine."""
    try:
        folder = pwd.getpwuid(os.getuid()).pw_dir if user is None else pwd.getpwnam(user).pw_dir
    except KeyError:
        return None
    return folder if os.path.isdir(folder) else None


def _deliver(made: Import, output: Path | None, *, dry_run: bool, force: bool) -> None:
    """Write the files, or print them; say what a person should know."""
    folder = output if output is not None else None if dry_run else find_paths().jobs_d
    if dry_run:
        for job in made.jobs:
            click.echo(f"# ---- {job.name}.toml\n{job.text}")
    elif folder is not None:
        left = _write(folder, made.jobs, force=force)
        if left:
            complain(f"not overwritten: {', '.join(left)}", "--force overwrites them.")
    for note in made.notes:
        click.echo(str(note), err=True)
    click.echo(f"{plural(len(made.jobs), 'job')}, {plural(len(made.notes), 'note')}", err=True)
    if not made.jobs or (not dry_run and folder is not None and left):
        raise SystemExit(1)


def _write(folder: Path, jobs: Iterable[Imported], *, force: bool) -> list[str]:
    """Write each job to a file of its own; return those that were there already and stayed."""
    folder.mkdir(parents=True, exist_ok=True)
    left: list[str] = []
    for job in jobs:
        path = folder / f"{job.name}.toml"
        if path.exists() and not force:
            left.append(str(path))
            continue
        whole = path.with_name(f".{path.name}.new")
        whole.write_text(job.text, encoding="utf-8")
        whole.replace(path)
        click.echo(f"wrote {path}")
    return left
