"""What a ledger without a file of its own answers, where it is asked about one."""


class NoFile:
    """A part of a :class:`akjob.ledger.Store`: no file grows, and none can be removed."""

    def wal_bytes(self) -> int:
        """Return 0: nothing waits to be moved."""
        return 0

    def is_in_place(self) -> bool:
        """Return True: there is no file that could be removed."""
        return True

    def put_back(self) -> None:
        """Do nothing."""

    def checkpoint(self) -> bool:
        """Return True: there is nothing to move."""
        return True
