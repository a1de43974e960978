"""``akjob init``: a folder that akjob can run in. Nothing that already exists is touched."""

import os
import pwd
import shlex
import sysconfig
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import click

from akjob.cli.common import given_root, working_folder
from akjob.config import Paths
from akjob.errors import UsageError
from akjob.program import own_uid

# path below the root -> file of akjob/data
_FILES = {
    "etc/akjob.toml": "akjob.toml",
    "etc/supervisord.conf": "supervisord.conf",
    "etc/job.schema.json": "job.schema.json",
    ".gitignore": "gitignore",
}
# supervisord opens its files in these before anything of akjob runs, also in a fresh clone
_KEPT = ("var/log/.gitkeep", "var/run/.gitkeep")
_EXAMPLE = "jobs.d/hello.toml"
_UNIT = "etc/akjob.service"


def shipped(name: str) -> bytes:
    """Return a file of ``akjob/data`` as the wheel has it."""
    return (files("akjob") / "data" / name).read_bytes()


def make(root: Path) -> Iterator[tuple[str, str]]:
    """Make ``root`` ready and yield what was done: ``("wrote" | "kept", path below the root)``, as it is done.

    Raises OSError where a folder or a file cannot be made.
    """
    has_jobs = next((root / "jobs.d").rglob("*.toml"), None) is not None
    wanted = {path: shipped(name) for path, name in _FILES.items()}
    if not has_jobs:
        wanted[_EXAMPLE] = shipped("hello.toml")
    (root / "jobs.d").mkdir(parents=True, exist_ok=True)
    (root / "var").mkdir(mode=0o700, exist_ok=True)
    for path in sorted(wanted):
        yield ("wrote" if _write_new(root / path, wanted[path]) else "kept"), path
    for path in _KEPT:
        _write_new(root / path, b"")


def unit(root: Path, programs: str, user: str) -> str:
    """Return the systemd unit of a root; ``programs`` is the folder that has akjob's programs and supervisord.

    Raises UsageError for a path that a unit cannot hold.
    """
    text = shipped("akjob.service").decode()
    for sign, value in (("@ROOT@", str(root)), ("@BIN@", programs), ("@USER@", user)):
        if any(one in value for one in '"$\\\n:'):
            message = f"{value!r} cannot be in a systemd unit"
            raise UsageError(message, hint="Use a path without quotes, colons, backslashes and $.")
        text = text.replace(sign, value.replace("%", "%%"))
    return text


def _write_unit(root: Path) -> None:
    """Write the unit for the user that owns ``var/``, and say how to install it."""
    root = root.absolute()
    uid = own_uid(Paths(root))
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = str(uid)
    wrote = _write_new(root / _UNIT, unit(root, sysconfig.get_path("scripts"), user).encode())
    click.echo(f"{'wrote' if wrote else 'kept'}  {root / _UNIT}")
    click.echo(f"\nInstall it:\n  sudo cp {shlex.quote(os.fspath(root / _UNIT))} /etc/systemd/system/")
    click.echo("  sudo systemctl daemon-reload\n  sudo systemctl enable --now akjob")


def _write_new(path: Path, content: bytes) -> bool:
    """Write a file that must not exist yet; False where it does, be it a dangling link."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("xb") as file:
            file.write(content)
    except FileExistsError:
        return False
    return True


def _ignores_var(text: str) -> bool:
    return any(line.strip().lstrip("/").startswith("var/") for line in text.splitlines())


@click.command(name="init")
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option("--systemd", "with_unit", is_flag=True, help="Also write etc/akjob.service, the unit for this root.")
def command(folder: Path | None, *, with_unit: bool) -> None:
    """Make a folder ready: jobs.d/ with an example, etc/ with the configuration and the schema, .gitignore.

    DIR is made where it is missing; without DIR it is --root, else this folder. Files that are there stay as they are.
    """
    root = folder or Path(given_root() or ".")
    if root.exists() and not root.is_dir():
        message = f"{root} is not a folder"
        raise UsageError(message, hint="Name a folder, or one that does not exist yet.")
    done = list(make(root))
    for what, path in done:
        click.echo(f"{what}  {root / path}")
    if ("kept", ".gitignore") in done and not _ignores_var((root / ".gitignore").read_text("utf-8", "replace")):
        click.echo("\nYour .gitignore does not name var/, where akjob keeps its ledger and log: add the line /var/")
    if with_unit:
        _write_unit(root)
        return
    go_there = "" if root.resolve() == working_folder().resolve() else f" --root {root}"
    click.echo(f"\nStart it with `akjob up{go_there}`, or `akjob up --detach{go_there}` to have the terminal back.")
