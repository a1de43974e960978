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
from akjob.errors import UsageError
from akjob.imports import Import, Imported, Note
from akjob.query.text import plural

_ZONEINFO = "zoneinfo/"
# where systemd looks for units, the first one wins
_SYSTEM = [Path(root, "systemd/system") for root in ("/etc", "/run", "/usr/lib", "/lib")]


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

    TIMER is a .timer file, a folder of them, or the name of one in systemd's folders; of a template, that of an
    instance. The service is looked for beside it, then in systemd's folders. Drop-ins (NAME.timer.d/*.conf) are read,
    too, from all of systemd's folders where the timer is in one of them.
    """
    from akjob.imports.systemd import parse_unit, read_timer, service_of

    zone = timezone or machine_zone()
    jobs: list[Imported] = []
    notes: list[Note] = []
    for wanted in _timers(timers):
        timer = wanted if wanted.endswith(".timer") else f"{wanted}.timer"
        path = _unit_file(timer, [Path(), *_SYSTEM])
        if path is None:
            hint = "Give the path of a .timer file, or of a folder of them."
            raise UsageError(f"there is no timer {wanted}", hint=hint)
        timer = Path(timer).name
        name = timer.removesuffix(".timer")
        try:
            text = _unit_text(path, timer)
            unit = service_of(parse_unit(text), name)
            service = _unit_file(unit, _SYSTEM if path.parent in _SYSTEM else [path.parent, *_SYSTEM])
            made = read_timer(
                text, None if service is None else _unit_text(service, unit), name=name, timer_file=str(path),
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
            yield from (str(path) for path in sorted(Path(one).glob("*.timer")) if path.is_file())
        else:
            yield one


def _read(file: str) -> str:
    """Read a crontab; bytes that are no UTF-8 are kept, as surrogates."""
    try:
        whole = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return whole.decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        raise UsageError(f"{file} is not there", hint="Name a crontab, or - for standard input.") from None


def _unit_file(name: str, folders: Iterable[Path]) -> Path | None:
    """Find a unit in the first folder that has it; None also when it is masked there (a link to /dev/null)."""
    for folder in folders:
        for candidate in _names(name):
            path = folder / candidate
            if path.exists():
                return path if path.is_file() else None
    return None


def _names(unit: str) -> list[str]:
    """Return a unit's name, and of an instance (x@a.timer) also its template's (x@.timer)."""
    stem, _, ending = unit.rpartition(".")
    return [unit, f"{stem.partition('@')[0]}@.{ending}"] if "@" in stem[:-1] else [unit]


def _unit_text(path: Path, unit: str) -> str:
    """Read a unit and its drop-ins, these in the order of their names; of one name the first folder's counts."""
    folders = _SYSTEM if path.parent in _SYSTEM else [path.parent]
    places = [folder / f"{name}.d" for folder in folders for name in _names(unit)]
    found = {part.name: part for place in reversed(places) for part in place.glob("*.conf")}
    parts = [path, *(found[name] for name in sorted(found))]
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
