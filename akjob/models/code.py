"""The code object of a job, and its dill file."""

from pathlib import Path
from typing import Any

from akjob.errors import AkjobError
from akjob.spec.model import DillFile, JobSpec


def load_code(file: Path, spec: JobSpec) -> Any:
    """Return the object in a job's dill file, after the checks that a run makes; None for other code."""
    if not isinstance(spec.code, DillFile):
        return None
    from akjob.code.load import CodeError, load_object  # noqa: PLC0415 - as its callers

    try:
        return load_object(str(file.parent / spec.code.file), spec.code.sha256, spec.code.python)
    except CodeError as error:
        raise AkjobError(error.reason) from error


def is_unchanged(file: Path, spec: JobSpec, code: object) -> bool:
    """Return True if the code object is as its file has it. A run may change it, most do not."""
    try:
        saved = load_code(file, spec)
    except AkjobError:
        return False
    return saved is not None and type(saved) is type(code) and same_code(saved, code)


def same_code(one: object, other: object) -> bool:
    """Return True for one object, and for two that pack to the same bytes."""
    if one is other:
        return True
    from akjob.code.dump import dumps  # noqa: PLC0415 - dill is slow to import

    try:
        return dumps(one) == dumps(other)
    except Exception:  # noqa: BLE001 - what cannot be packed is the same as itself only
        return False
