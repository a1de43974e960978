"""akjob: scheduled jobs that live in git.

In a run, ``akjob.current_run()`` gives its job, slot, attempt and id, ``progress(done, total)`` and ``log``.
"""

__version__ = "0.2.0"
__all__ = ["__version__", "current_run"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from akjob.log.job.current import current_run


def __getattr__(name: str) -> object:
    """Load what is asked for only then: importing akjob costs nothing, in every run."""
    if name == "current_run":
        from akjob.log.job.current import current_run  # noqa: PLC0415 - the point of this function

        return current_run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
