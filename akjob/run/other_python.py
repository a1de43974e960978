"""A run in another Python than akjob's own, another project's virtual environment for instance.

It is executed there by its path, with two descriptors: the order (marshal) and the channel to the shim. akjob need not
be installed there; where it is, the job's logging and ``current_run()`` work as usual. Must run on Python 3.8.
"""

from __future__ import annotations

import marshal
import os
import socket
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType


def main(order_fd: int, channel_fd: int) -> None:
    """Run the order; never returns."""
    with open(order_fd, "rb") as file:
        order = marshal.loads(file.read())  # noqa: S302 - written by the process that executed us
    channel = socket.socket(fileno=channel_fd)
    os.set_inheritable(channel_fd, False)
    python, load, fresh = _module("run/python"), _module("code/load"), _module("code/fresh")
    code = 1
    try:
        own = [order["root"], order["cwd"], *(os.path.join(order["root"], entry) for entry in order["pythonpath"])]
        # sys.path[0] is this file's folder, which the job must not see.
        sys.path[:] = list(dict.fromkeys([*own, *sys.path[1:]]))
        fresh.install()
        python.own_streams()
        sys.argv[:] = [order["code"][1]]
        try:
            from akjob.log.job import hooks
        except ImportError:
            report = _print
        else:
            hooks.install()
            hooks.begin(channel_fd, order["names"])
            report = hooks.uncaught
        code = python.begin(order, channel, load, gated=order["gated"], report=report)
    except load.CodeError as error:
        python.tell(channel, python.REFUSED, error.reason)
    except BaseException as error:
        python.tell(channel, python.REFUSED, load.describe_exception(error))
    finally:
        os._exit(code)


def _print(error: BaseException) -> None:
    import traceback

    traceback.print_exception(type(error), error, error.__traceback__)


def _module(name: str) -> ModuleType:
    """Load one of akjob's files by its path, under a name of its own: the job may have another akjob."""
    from importlib.util import module_from_spec, spec_from_file_location

    home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    spec = spec_from_file_location("_akjob_" + name.replace("/", "_"), os.path.join(home, name + ".py"))
    if spec is None or spec.loader is None:
        raise ImportError(name)
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
