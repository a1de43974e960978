"""What job files parsed to counts only for the code that parsed them."""

import ast
import os
from pathlib import Path

import akjob
from akjob.jobset import cache
from tests.unit.test_rooms import imported

PACKAGE = Path(akjob.__file__).parent


def file_of(module: str) -> Path | None:
    """Return the file of a module of akjob; None for a name that is not a module."""
    place = PACKAGE.parent.joinpath(*module.split("."))
    candidates = (place / "__init__.py", place.with_name(f"{place.name}.py"))
    return next((file for file in candidates if file.is_file()), None)


def imported_from(module: str) -> set[Path]:
    """Return the files of a module and of all that it imports, in function bodies too."""
    found: set[Path] = set()
    wanted = [module]
    while wanted:
        name = wanted.pop()
        file = file_of(name)
        if file is None or file in found:
            continue
        found.add(file)
        tree = ast.parse(file.read_text())
        for _, what in imported(tree, name, package=file.name == "__init__.py"):
            wanted += [what, what.rpartition(".")[0]]
    return found


def test_what_parses_is_in_the_fingerprint() -> None:
    """Every source file that the parser can import has a part in the hash that decides whether the cache is of use."""
    parsing = imported_from("akjob.spec.parse")
    assert PACKAGE / "schedule" / "cron.py" in parsing
    inside = {str(file.relative_to(PACKAGE)).removesuffix(".py").split("/")[0] for file in parsing}
    assert inside - {"__init__"} <= set(cache.PARSING)


def test_another_source_is_another_fingerprint() -> None:
    """The hash changes with the time of any of the files, and is the same again with it."""
    before = cache.fingerprint()
    file = PACKAGE / "keys" / "values.py"
    found = file.stat()
    os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns + 1))
    try:
        assert cache.fingerprint() != before
    finally:
        os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert cache.fingerprint() == before
