"""``akjob import``: job files made of what other schedulers have."""

import os
import pwd
import re
import shlex
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import click
from msgspec import Struct

from akjob.cli import complain
from akjob.cli.common import examples, find_paths
from akjob.config import DEFAULTS
from akjob.errors import AkjobError, UsageError, escape_control
from akjob.imports import LARGEST, Import, ImportNote, joined, slug
from akjob.query.text import plural
from akjob.schedule.zones import integer_zone

_ZONEINFO = "zoneinfo/"
_HEAD = 4096
# where systemd looks for units, the first one wins
_SYSTEM = [Path(root, "systemd/system") for root in ("/etc", "/run", "/usr/lib", "/lib")]


@click.group(
    name="import",
    epilog=examples(
        "crontab -l | akjob import crontab - --dry-run",
        "akjob import crontab /etc/crontab -o jobs.d/system",
        "akjob import systemd /etc/systemd/system/*.timer",
        "akjob import kubernetes manifests/",
        "akjob import celery proj/celery.py",
    ),
)
def command() -> None:
    """Write job files for what another scheduler runs. What cannot be translated is kept as a comment and reported."""


def _output_options(function: click.decorators.FC) -> click.decorators.FC:
    for option in (
        click.option("--timezone", metavar="ZONE", help="The time zone of its local times. Default: this machine's."),
        click.option("--force", is_flag=True, help="Overwrite files that are there."),
        click.option("--dry-run", is_flag=True, help="Print the files, write none."),
        click.option("-o", "--output", metavar="DIR", type=click.Path(path_type=Path), help="Default: jobs.d/"),
    ):
        function = option(function)
    return function


class Batch(Struct, frozen=True, kw_only=True):
    """One source: the folder that its jobs get, how it is read, and what ends the original.

    ``read`` takes the names that its entries got before, and whether what all jobs share becomes a ``_defaults.toml``.
    ``texts`` has what is read, by the names of the files; ``kind`` is the command that reads it.
    """

    source: str
    folder: str
    read: Callable[[Mapping[str, str], bool], Import]
    kind: str
    texts: Sequence[tuple[str, str]]
    ends: str = ""
    apart: bool = False
    """Return whether ``-o`` names a folder for several of them."""


@command.command(name="crontab")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(allow_dash=True))
@click.option(
    "--system/--user",
    default=None,
    help="Whether each command is preceded by a user. Default: guessed from the commands and the path, and reported; a "
    "file of cron's spool belongs to its owner.",
)
@_output_options
def crontab(  # noqa: PLR0913 - the options of a command
    files: tuple[str, ...],
    output: Path | None,
    timezone: str | None,
    *,
    system: bool | None,
    dry_run: bool,
    force: bool,
) -> None:
    """Write a job file for each entry of a crontab; - is standard input, a folder means the crontabs in it.

    A job behaves as it did under cron: in the home folder, in the machine's time zone, without a time limit. Each file
    says what akjob offers instead. Six and seven fields are read as supercronic reads them; an anacrontab is found out.
    """
    zone = timezone or machine_zone()
    found = list(_crontabs(files))
    batches = [_crontab_batch(file, system=system, zone=zone, apart=len(found) > 1) for file in found]
    _deliver(batches, output, dry_run=dry_run, force=force)


def _crontab_batch(file: str, *, system: bool | None, zone: str, apart: bool) -> Batch:
    from akjob.imports.anacron import read_anacrontab
    from akjob.imports.crontab import has_entries, is_anacrontab, is_system, owner_of, read_crontab
    from akjob.imports.kinds import kind_of

    text = _read(file)
    shown = "standard input" if file == "-" else file
    path = os.path.abspath(file)
    folder = "crontab" if file == "-" else slug(Path(file).name)
    if is_anacrontab(text):
        click.echo(f"{shown}: read as an anacrontab", err=True)
        return Batch(
            source=shown, folder=folder, kind="anacron", texts=[(shown, text)], ends=_end_of_line(shown), apart=apart,
            read=lambda _, share: read_anacrontab(text, file=shown, zone=zone, share=share),
        )  # fmt: skip
    owner = None if file == "-" else owner_of(path)
    if system is None and owner is None:
        users = frozenset(entry.pw_name for entry in pwd.getpwall())
        system = is_system(path if file != "-" else file, text, users, frozenset(filter(shutil.which, users)))
        kind = "a system crontab (a user before each command)" if system else "a user's crontab"
        click.echo(f"{shown}: read as {kind}", err=True)

    def read(known: Mapping[str, str], share: bool) -> Import:
        if kind_of(text) not in {"crontab", "anacron", None} and not has_entries(text):
            return Import((), ())  # each of its lines of six words would be an entry
        return read_crontab(
            text, file=shown, system=bool(system), zone=zone, home=_home, owner=owner, known=known, share=share
        )

    ends = _end_of_crontab(file, owner)
    texts = [(shown, text)]
    return Batch(source=shown, folder=folder, read=read, kind="crontab", texts=texts, ends=ends, apart=apart)


def _end_of_crontab(file: str, owner: str | None) -> str:
    """Return the command that ends what cron runs from a crontab."""
    if file == "-":
        return "`crontab -r` ends it (`crontab -e` takes out single lines)"
    if owner is not None:
        return f"`crontab -r -u {shlex.quote(owner)}` ends it"
    path = os.path.abspath(file)
    if path.startswith("/etc/cron.d/"):
        return f"`mv {shlex.quote(path)} {shlex.quote(path)}.disabled` ends it, for cron passes over names with a dot"
    if path.startswith("/etc/"):
        return _end_of_line(file)
    copy = "if the file is a copy, made by `crontab -l`, `crontab -r` ends it (`crontab -e` takes out single lines)"
    return f"{copy}; if a scheduler reads the file itself, {_end_of_line(file)}"


def _end_of_line(file: str) -> str:
    return f"`sed -i.before 's/^[^#]/#&/' {shlex.quote(file)}` ends it, by making a comment of each line"


def _crontabs(files: Iterable[str]) -> Iterator[str]:
    """Yield what was named, and for a folder the crontabs in it: cron passes over names with a dot, too."""
    for one in files:
        if one != "-" and os.path.isdir(one):
            inside = _inside(one, "*")
            yield from (str(path) for path in inside if path.is_file() and re.fullmatch(r"[\w-]+", path.name))
        else:
            yield one


@command.command(name="anacron")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(allow_dash=True))
@_output_options
def anacron(files: tuple[str, ...], output: Path | None, timezone: str | None, *, dry_run: bool, force: bool) -> None:
    """Write a job file for each entry of an anacrontab, such as /etc/anacrontab."""
    from akjob.imports.anacron import read_anacrontab

    zone = timezone or machine_zone()
    texts = [(file, _read(file)) for file in files]
    batches = [
        Batch(
            source=file, folder="anacrontab" if file == "-" else slug(Path(file).name), ends=_end_of_line(file),
            apart=len(files) > 1, kind="anacron", texts=[(file, text)],
            read=lambda _, share, file=file, text=text: read_anacrontab(text, file=file, zone=zone, share=share),  # type: ignore[misc]
        )
        for file, text in texts
    ]  # fmt: skip
    _deliver(batches, output, dry_run=dry_run, force=force)


@command.command(name="kubernetes")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(allow_dash=True))
@click.option("--no-image", is_flag=True, help="Run the command itself, not `docker run` with its image.")
@_output_options
def kubernetes(  # noqa: PLR0913 - the options of a command
    files: tuple[str, ...], output: Path | None, timezone: str | None, *, no_image: bool, dry_run: bool, force: bool
) -> None:
    """Write a job file for each CronJob of Kubernetes manifests; a folder means the YAML files in it."""
    from akjob.imports.kubernetes import read_cronjobs

    texts = [(file, _read(file)) for file in _below(files, ".yaml", ".yml", ".json")]

    def read(_: Mapping[str, str], share: bool) -> Import:
        zone = timezone or "UTC"
        made = [read_cronjobs(text, file=file, zone=zone, image=not no_image) for file, text in texts]
        return joined(made, source="kubernetes", share=share)

    batch = Batch(source=", ".join(files), folder="kubernetes", read=read, kind="kubernetes", texts=texts)
    _deliver([batch], output, dry_run=dry_run, force=force)


@command.command(name="yacron")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(allow_dash=True))
@_output_options
def yacron(files: tuple[str, ...], output: Path | None, timezone: str | None, *, dry_run: bool, force: bool) -> None:
    """Write a job file for each job of yacron's YAML; a folder means the YAML files in it."""
    from akjob.imports.yacron import read_yacron

    texts = [(file, _read(file)) for file in _below(files, ".yaml", ".yml")]

    def read(_: Mapping[str, str], share: bool) -> Import:
        made = [read_yacron(text, file=file, zone=timezone or machine_zone()) for file, text in texts]
        return joined(made, source="yacron", share=share)

    ends = "stop yacron, or write `enabled: false` into each of its jobs"
    batch = Batch(source=", ".join(files), folder="yacron", read=read, kind="yacron", texts=texts, ends=ends)
    _deliver([batch], output, dry_run=dry_run, force=force)


@command.command(name="celery")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(allow_dash=True))
@_output_options
def celery(files: tuple[str, ...], output: Path | None, timezone: str | None, *, dry_run: bool, force: bool) -> None:
    """Write a job file for each entry of a beat_schedule or of django-crontab's CRONJOBS.

    FILE is Python source. It is read, and never executed.
    """
    from akjob.imports.celery import read_celery

    texts = [(file, _read(file)) for file in _below(files, ".py")]

    def read(_: Mapping[str, str], share: bool) -> Import:
        made = [read_celery(text, file=file, zone=timezone) for file, text in texts]
        return joined(made, source="celery", share=share)

    batch = Batch(source=", ".join(files), folder="celery", read=read, kind="celery", texts=texts)
    _deliver([batch], output, dry_run=dry_run, force=force)


def _below(files: Iterable[str], *endings: str) -> Iterator[str]:
    """Yield what was named, and for a folder the files with these endings below it."""
    for one in files:
        if one != "-" and os.path.isdir(one):
            inside = _inside(one, "**/*")
            yield from (str(path) for path in inside if path.suffix in endings and path.is_file())
        else:
            yield one


@command.command(name="systemd")
@click.argument("timers", metavar="TIMER...", nargs=-1, required=True)
@_output_options
def systemd(timers: tuple[str, ...], output: Path | None, timezone: str | None, *, dry_run: bool, force: bool) -> None:
    """Write a job file for each systemd timer with its service.

    TIMER is a .timer file, a folder of them, or the name of one in systemd's folders; of a template, that of an
    instance. The service is looked for next to it, then in systemd's folders. Drop-ins (NAME.timer.d/*.conf) are read,
    too, from all of systemd's folders where the timer is in one of them.
    """
    zone = timezone or machine_zone()
    paths = [_timer_path(wanted) for wanted in _timers(timers)]
    made = [_read_timer(path, timer, zone) for path, timer in paths]
    names: dict[str, list[str]] = {"": [], "--user ": []}
    for (path, timer), one in zip(paths, made, strict=True):
        names["--user " if _is_users(path) else ""] += [timer] if one.jobs else []
    commands = [
        f"`systemctl {of}disable --now {' '.join(map(shlex.quote, dict.fromkeys(timers)))}` ends it"
        for of, timers in names.items()
        if timers
    ]
    ends = "; ".join(commands)

    def read(_: Mapping[str, str], share: bool) -> Import:
        return joined(made, source="systemd's timers", share=share)

    texts = [(str(path), _unit_text(path, timer)) for path, timer in paths]
    batch = Batch(source=" ".join(timers), folder="systemd", read=read, kind="systemd", texts=texts, ends=ends)
    _deliver([batch], output, dry_run=dry_run, force=force)
    if commands and integer_zone(zone).rule_changes:
        click.echo(f"in {zone} a time that does not exist in the spring night means the first instant after the gap; "
                   "systemd may pass it over", err=True)  # fmt: skip


def _timer_path(wanted: str) -> tuple[Path, str]:
    """Return the file of a timer, and its name."""
    timer = wanted if wanted.endswith(".timer") else f"{wanted}.timer"
    path = _unit_file(timer, [Path(), *_SYSTEM])
    if path is None:
        hint = "Give the path of a .timer file, or of a folder of them."
        raise UsageError(f"there is no timer {wanted}", hint=hint)
    return path, Path(timer).name


def _read_timer(path: Path, timer: str, zone: str) -> Import:
    from akjob.imports.systemd import parse_unit, read_timer, service_of

    name = timer.removesuffix(".timer")
    try:
        text = _unit_text(path, timer)
        unit = service_of(parse_unit(text), name)
        service = _unit_file(unit, _SYSTEM if path.parent in _SYSTEM else [path.parent, *_SYSTEM])
        return read_timer(
            text, None if service is None else _unit_text(service, unit), name=name, timer_file=str(path),
            service_file=unit if service is None else str(service), zone=zone, home=_home,
            is_user=_is_users(path),
            has_timer=lambda other: _unit_file(f"{other}.timer", [path.parent, *_SYSTEM]) is not None,
        )  # fmt: skip
    except ValueError as error:
        return Import((), (ImportNote(str(path), 1, str(error)),))


def _is_users(path: Path) -> bool:
    """Return True if a unit is one of a user's manager, by the folder that it lies in."""
    return "/systemd/user/" in f"{path.resolve()}"


def _timers(wanted: Iterable[str]) -> Iterator[str]:
    """Yield what was named, and for a folder the timers in it."""
    for one in wanted:
        if os.path.isdir(one):
            yield from (str(path) for path in _inside(one, "*.timer") if path.is_file())
        else:
            yield one


def _inside(folder: str, pattern: str) -> list[Path]:
    """Return what is in a folder, in order."""
    try:
        os.listdir(folder)  # a pattern passes over what may not be listed
        return sorted(Path(folder).glob(pattern))
    except OSError as error:
        message = f"{folder} cannot be read: {error.strerror}"
        raise UsageError(message, hint="Name a folder that you may read.") from None


def _read(file: str) -> str:
    """Read a file; bytes that are not UTF-8 are kept, as surrogates."""
    try:
        if file == "-":
            whole = sys.stdin.buffer.read(LARGEST + 1)
        else:
            with open(file, "rb") as opened:
                whole = opened.read(LARGEST + 1)
    except FileNotFoundError:
        raise UsageError(f"{file} is not there", hint="Name a file, or - for standard input.") from None
    except OSError as error:
        message = f"{file} cannot be read: {error.strerror}"
        raise UsageError(message, hint="Name a file that you may read, or - for standard input.") from None
    if len(whole) > LARGEST:
        message = f"{file} has more than {LARGEST >> 20} MiB: too large for a schedule"
        raise UsageError(message, hint="Name the file itself; divide it if it is one.")
    return whole.decode("utf-8", "surrogateescape")


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
    return "\n".join(_read(str(part)) for part in parts)


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


def _deliver(batches: Sequence[Batch], output: Path | None, *, dry_run: bool, force: bool) -> None:
    """Write the files, or print them; say what a person should know."""
    root = _root(output)
    base = output if output is not None or root is None else root / "jobs.d"
    if base is None and not dry_run:
        find_paths()  # says that there is no root, and what to do
    jobs = notes = 0
    left: list[str] = []
    for batch in batches:
        below = base if base is not None and output is not None and not batch.apart else (base or Path()) / batch.folder
        known = _known(below, batch.source)
        made = batch.read(known, True)
        if made.defaults and not _is_ours(below, made, root, known):
            made = batch.read(known, False)
        if dry_run:
            _print(made, batch)
        else:
            left += _write(below, made, root, force=force)
        _tell(made, batch, below, known)
        jobs, notes = jobs + len(made.jobs), notes + len(list(_once(made.notes)))
    if left:
        complain(f"not overwritten: {', '.join(left)}", "--force overwrites them.")
    click.echo(f"{plural(jobs, 'job')}, {plural(notes, 'note')}", err=True)
    if not jobs or left:
        raise SystemExit(1)


def _root(output: Path | None) -> Path | None:
    """Return the root that the files will be in; None if there is none."""
    try:
        paths = find_paths()
    except AkjobError:
        return None
    inside = output is None or Path(os.path.abspath(output)).is_relative_to(paths.root)
    return paths.root if inside else None


def _tell(made: Import, batch: Batch, folder: Path, known: Mapping[str, str]) -> None:
    """Print the notes, which files have lost their source, and that the original goes on."""
    for note, more in _once(made.notes):
        click.echo(f"{note} (and {more} more of these)" if more else str(note), err=True)
    if not made.jobs:
        _tell_of_nothing(batch, made.notes)
    names = {job.name for job in made.jobs}
    for line, name in known.items():
        if name not in names:
            click.echo(
                f"{folder / name}.toml: its line is not in {batch.source} any more: {escape_control(line)}", err=True
            )
    ends = "; ".join(filter(None, [batch.ends, *made.ends]))
    if made.jobs and ends:
        click.echo(f"the original is still active: {ends}", err=True)


def _tell_of_nothing(batch: Batch, notes: Sequence[ImportNote]) -> None:
    """Print what was looked for in vain, and what was found instead."""
    from akjob.imports.kinds import found_instead, kind_of, looked_for

    if not batch.texts:
        complain(f"nothing to import: there is no file of that kind in {batch.source}")
    said = {note.file for note in notes}
    reasons = {
        file: found_instead(batch.kind, text)
        for file, text in batch.texts
        if file not in said or kind_of(text) not in {batch.kind, None}
    }
    for reason in dict.fromkeys(reasons.values()):
        files = [escape_control(file) for file, other in reasons.items() if other == reason]
        shown = files[0] if len(files) == 1 else f"{files[0]} and {plural(len(files) - 1, 'other file')}"
        more = f"; {reason}" if reason else ""
        complain(f"nothing to import: {shown}: {looked_for(batch.kind)}{more}")


def _once(notes: Sequence[ImportNote]) -> Iterator[tuple[ImportNote, int]]:
    """Yield each note once, at its first place, with the number of further places."""
    counts = Counter(note.message for note in notes)
    for note in notes:
        count = counts.pop(note.message, 0)
        if count:
            yield note, count - 1


def _print(made: Import, batch: Batch) -> None:
    if made.defaults:
        click.echo(f"# ---- {batch.folder}/{DEFAULTS}\n{made.defaults}")
    for job in made.jobs:
        click.echo(f"# ---- {job.name}.toml\n{job.text}")


def _known(folder: Path, source: str) -> dict[str, str]:
    """Return the names that the lines of a crontab got when it was imported into this folder before."""
    from akjob.imports.crontab import source_of

    found: dict[str, str] = {}
    for path in sorted(folder.glob("*.toml")) if folder.is_dir() else ():
        try:
            with path.open(encoding="utf-8") as file:
                of, line = source_of(file.read(_HEAD))
        except (OSError, UnicodeDecodeError):
            continue
        if of == source:
            found.setdefault(line, path.stem)
    return found


def _is_ours(folder: Path, made: Import, root: Path | None, known: Mapping[str, str]) -> bool:
    """Return True if a ``_defaults.toml`` in a folder is in force for the jobs of this source alone."""
    if root is not None and os.path.realpath(folder) == os.path.realpath(root / "jobs.d"):
        return False
    ours = {*(f"{job.name}.toml" for job in made.jobs), *(f"{name}.toml" for name in known.values()), DEFAULTS}
    return not folder.is_dir() or all(str(path.relative_to(folder)) in ours for path in folder.rglob("*.toml"))


def _write(folder: Path, made: Import, root: Path | None, *, force: bool) -> list[str]:
    """Write each job to a file of its own; return those that were there already with another text, and stayed."""
    if not made.jobs:
        return []
    defaults = folder / DEFAULTS
    if made.defaults and not _put(defaults, made.defaults, force=force):
        return [str(defaults)]  # the jobs would mean something else above it
    left: list[str] = []
    for job in made.jobs:
        path = folder / f"{job.name}.toml"
        if not _put(path, _schema_line(path, root) + job.text, force=force):
            left.append(str(path))
    return left


def _schema_line(path: Path, root: Path | None) -> str:
    """Return the line by which editors find the schema; an empty string outside of a root."""
    if root is None:
        return ""
    return f"#:schema {os.path.relpath(root / 'etc' / 'job.schema.json', path.parent)}\n"


def _put(path: Path, text: str, *, force: bool) -> bool:
    """Write a file; return False if there is another one, which stays."""
    if path.exists() and not force:
        return path.read_bytes() == text.encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = path.with_name(f".{path.name}.new")
    whole.write_text(text, encoding="utf-8")
    whole.replace(path)
    click.echo(f"wrote {path}")
    return True
