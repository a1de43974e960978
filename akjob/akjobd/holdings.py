"""What akjobd holds open below ``var/``: is it still what is at its path."""

from akjob.akjobd.writer import Writer
from akjob.config import Paths
from akjob.control.server import Server
from akjob.daemon_log import Say
from akjob.errors import AkjobError
from akjob.program import RESTORED, Holding, Listener, Lock, folder, restore
from akjob.run.shims import ShimManager


class Holdings:
    """Looked at by the scanning thread, which asks nothing but the file system; made again by the loop."""

    def __init__(  # noqa: PLR0913 - all that is held
        self,
        paths: Paths,
        *,
        lock: Lock,
        listener: Listener,
        server: Server,
        shims: ShimManager,
        writer: Writer,
        say: Say,
    ) -> None:
        self._say = say
        self._troubled: frozenset[str] = frozenset()
        folders = (paths.var, paths.run_dir, paths.runs, paths.folder_pool, paths.log_dir)
        self._all = (
            *map(folder, folders),
            Holding(lock.path, lock.is_in_place, lambda: lock.take(0)),
            Holding(listener.path, listener.is_in_place, lambda: server.replace(listener.renew())),
            Holding(paths.shims_socket, shims.is_reachable, shims.rebind),
            Holding(paths.db, lambda: writer.store.is_in_place(), lambda: writer.store.put_back()),  # noqa: PLW0108 - the store of then
        )

    def are_in_place(self) -> bool:
        """Return True if everything is where it belongs."""
        return all(one.is_in_place() for one in self._all)

    def restore(self) -> None:
        """Make again what is not; say it, and what keeps it from being made, once."""
        troubled = set()
        for path, error in restore(self._all):
            if error is None:
                self._say("warning", "var.restored", path=str(path), message=RESTORED)
                continue
            troubled.add(str(path))
            if str(path) not in self._troubled:
                why = error.message if isinstance(error, AkjobError) else error.strerror
                self._say("error", "var.restored", path=str(path), message=f"it cannot be made again: {why}")
        self._troubled = frozenset(troubled)
