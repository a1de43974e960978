"""The checks, in the order in which a person would look."""

from collections.abc import Callable, Iterator

from akjob.doctor import cluster, machine, programs, root
from akjob.doctor.diagnosis import Diagnosis, Subject

CHECKS: tuple[Callable[[Subject], Iterator[Diagnosis]], ...] = (
    root.path,
    root.files,
    root.settings,
    root.rights,
    root.disk,
    machine.kernel,
    machine.limits,
    machine.control_groups,
    machine.inotify,
    machine.clock,
    machine.zones,
    programs.programs,
    programs.extras,
    programs.port,
    programs.git,
    cluster.cluster,
    programs.jobs,
)


def examine(subject: Subject) -> Iterator[Diagnosis]:
    """Make all checks, one after another. One that breaks down is a finding itself, and the others are made."""
    for check in CHECKS:
        try:
            yield from check(subject)
        except Exception as error:  # noqa: BLE001 - on a crippled machine anything may fail
            name = check.__name__.replace("_", " ")
            yield Diagnosis(name, "wrong", f"cannot be checked: {type(error).__name__}: {error}")
