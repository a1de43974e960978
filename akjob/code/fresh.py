"""Each run sees its modules as their files are at that moment.

Python takes a ``.pyc`` whose header has the source's size and modification second: an edit of the same size in the same
second, or one whose time was set back, goes unseen. Here a ``.pyc`` counts only if it was written more than two
seconds after the source last changed in any way; the change time, which cannot be set, has that instant.
"""

from __future__ import annotations

import os
import site
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType
    from typing import Any

SETTLED_NS = 2_000_000_000

# What an installer wrote it also compiled, often in the same second: taken as Python itself takes it, or a run that
# may not write there would compile it again for ever.
_INSTALLED = ("/site-packages/", "/dist-packages/")
_LIBRARY = os.path.dirname(str(site.__file__)) + "/"


def install() -> None:
    """Make this process's imports of source files fresh. Meant for the run's own process; calling it twice is safe."""
    external: Any = sys.modules["_frozen_importlib_external"]
    loader: Any = external.SourceFileLoader
    original = loader.get_code
    if getattr(original, "fresh", False):
        return

    def get_code(self: Any, fullname: str) -> CodeType | None:
        """Return the module's code: Python's own way where the ``.pyc`` can be trusted, else from the source."""
        path = self.get_filename(fullname)
        if path.startswith(_LIBRARY) or _INSTALLED[0] in path or _INSTALLED[1] in path:
            return original(self, fullname)  # type: ignore[no-any-return]
        try:
            cached = external.cache_from_source(path)
            source = os.stat(path)
        except (OSError, NotImplementedError):
            return original(self, fullname)  # type: ignore[no-any-return]
        if settled(path, source, cached):
            return original(self, fullname)  # type: ignore[no-any-return]
        code: CodeType = self.source_to_code(self.get_data(path), path)
        if not sys.dont_write_bytecode:
            # Stamped with what the source was before it was read: an edit since then shows in its change time.
            data = external._code_to_timestamp_pyc(  # noqa: SLF001
                code, int(source.st_mtime), source.st_size
            )
            self._cache_bytecode(path, cached, data)
        return code

    get_code.fresh = True  # type: ignore[attr-defined]
    loader.get_code = get_code


def settled(path: str, source: os.stat_result, cached: str) -> bool:
    """Return whether the ``.pyc`` was written more than 2 s after the source, or the link to it, last changed."""
    try:
        written = os.stat(cached).st_mtime_ns
        link = os.lstat(path)
    except OSError:
        return False
    return written - max(source.st_mtime_ns, source.st_ctime_ns, link.st_ctime_ns) > SETTLED_NS
