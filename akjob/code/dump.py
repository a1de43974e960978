"""Packing: the same source gives the same bytes, on any day, in any folder.

``dumps`` is dill with everything fixed that depends on the moment: the order of sets, which strings are one object, the
folder and the line of a function. Run as a file of its own it executes a script, a notebook or a module in a process
whose hashes are fixed too, and packs one name of it. Nothing of akjob is imported here but :mod:`akjob.code.load`.
"""

import dis
import io
import json
import linecache
import os
import pickle
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, ModuleType
from typing import Any

PROTOCOL = 4
_lock = threading.Lock()  # for a moment dill's own functions are exchanged


def dumps(value: object, by_value: frozenset[str] = frozenset()) -> bytes:
    """Return ``value`` as dill packs it with ``recurse=True``.

    What comes from the modules named in ``by_value``, from ``__main__`` or cannot be found by its name is packed whole;
    functions and classes of other modules are referenced, modules always. Raises what dill raises, mostly
    ``pickle.PicklingError`` and ``TypeError``.
    """
    import dill  # noqa: PLC0415 - heavy, and only packing needs it
    from dill import _dill, detect  # noqa: PLC0415

    class Pickler(dill.Pickler):  # type: ignore[misc]
        """dill's, with one object for each text, code without its place, and sets in order."""

        def __init__(self, file: io.BytesIO) -> None:
            super().__init__(file, protocol=PROTOCOL, recurse=True)
            self.same: dict[object, object] = {}
            self.codes: dict[int, tuple[CodeType, CodeType]] = {}
            self.dispatch = dict(dill.Pickler.dispatch.items()) | {
                set: _save_set,
                frozenset: _save_set,
                ModuleType: lambda pickler, module: _save_module(pickler, module, _dill),
            }

        def save(self, obj: object, save_persistent_id: bool = True) -> None:
            if type(obj) in (str, bytes):
                obj = self.same.setdefault((type(obj), obj), obj)
            elif isinstance(obj, CodeType):
                obj = self._placeless(obj)
            super().save(obj, save_persistent_id)

        def _placeless(self, code: CodeType) -> CodeType:
            known = self.codes.get(id(code))
            if known is None:
                known = (code, placeless(code))
                self.codes[id(code)] = known
                self._know(known[1])
            return known[1]

        def _know(self, code: CodeType) -> None:
            self.codes[id(code)] = (code, code)
            for constant in code.co_consts:
                if isinstance(constant, CodeType):
                    self._know(constant)

    file = io.BytesIO()
    with _exchanged(_dill, detect, by_value):
        Pickler(file).dump(value)
    return file.getvalue()


def placeless(code: CodeType, first: int | None = None) -> CodeType:
    """Return the code as if its file were in no folder and its outermost function began on line 1."""
    first = code.co_firstlineno - 1 if first is None else first
    consts = tuple(placeless(value, first) if isinstance(value, CodeType) else value for value in code.co_consts)
    return code.replace(
        co_filename=os.path.basename(code.co_filename),
        co_firstlineno=max(code.co_firstlineno - first, 1),
        co_consts=consts,
    )


def _save_set(pickler: Any, values: "set[Any] | frozenset[Any]") -> None:
    ordered = sorted(values, key=lambda value: (type(value).__name__, repr(value)))
    pickler.save_reduce(type(values), (ordered,), obj=values)


def _save_module(pickler: Any, module: ModuleType, _dill: Any) -> None:
    # dill would pack the state of a module that is the user's own, and overwrite that of the imported one at load.
    if module.__name__ == "__main__":
        message = "the module __main__ itself cannot be packed; use its functions, not the module"
        raise pickle.PicklingError(message)
    pickler.save_reduce(_dill._import_module, (module.__name__,), obj=module)  # noqa: SLF001


def used_globals(function: Any, recurse: bool = True, builtin: bool = False) -> dict[str, Any]:  # noqa: ARG001
    """Return the globals that a function's code and the code within it name, sorted by name."""
    names: set[str] = set()
    codes = [getattr(function, "__func__", function).__code__]
    while codes:
        code = codes.pop()
        names.update(
            str(step.argval)
            for step in dis.get_instructions(code)
            if step.opname in ("LOAD_GLOBAL", "LOAD_NAME", "STORE_GLOBAL", "DELETE_GLOBAL")
        )
        codes += [value for value in code.co_consts if isinstance(value, CodeType)]
    space = function.__globals__
    return {name: space[name] for name in sorted(names) if name in space}


@contextmanager
def _exchanged(_dill: Any, detect: Any, by_value: frozenset[str]) -> Iterator[None]:
    """Let dill decide by ``by_value`` what is found by its name, and look at globals and classes in a fixed order."""
    locate: Callable[..., bool] = _dill._locate_function  # noqa: SLF001
    typedict: Callable[..., Any] = _dill._get_typedict_type  # noqa: SLF001
    globalvars = detect.globalvars

    def located(obj: object, *rest: object) -> bool:
        return getattr(obj, "__module__", None) not in by_value and locate(obj, *rest)

    def class_dict(cls: type, members: dict[str, Any], *rest: object) -> Any:
        members.pop("__firstlineno__", None)  # where it is, since Python 3.13
        members.pop("__slotnames__", None)  # copyreg's notes, there once an object of the class was packed
        if "__static_attributes__" in members:
            members["__static_attributes__"] = tuple(sorted(members["__static_attributes__"]))
        return typedict(cls, members, *rest)

    with _lock:
        _dill._locate_function, _dill._get_typedict_type, detect.globalvars = located, class_dict, used_globals  # noqa: SLF001
        try:
            yield
        finally:
            _dill._locate_function, _dill._get_typedict_type, detect.globalvars = locate, typedict, globalvars  # noqa: SLF001


# In a process of its own


def _executed(order: dict[str, Any]) -> ModuleType:
    """Execute the source as the module it is; only its imports are taken from files."""
    module = ModuleType(order["module"])
    module.__file__ = order["file"]
    if order["package"]:
        module.__package__ = order["package"]
    sys.modules[order["module"]] = module
    # inspect.getsource() is to find this text, not a file of that name in the current folder.
    linecache.cache[order["file"]] = (len(order["text"]), None, order["text"].splitlines(keepends=True), order["file"])
    code = compile(order["text"], order["file"], "exec", dont_inherit=True)
    exec(code, module.__dict__)  # noqa: S102 - packing executes the user's own script, that is what it is asked for
    return module


def _packed(order: dict[str, Any]) -> dict[str, Any]:
    import dill  # noqa: PLC0415 - heavy

    sys.path[:0] = order["path"]
    sys.dont_write_bytecode = True
    value: Any
    by_value: frozenset[str] = frozenset()
    if order["text"] is None:
        load = _load_room()
        value = load.resolve(order["target"])
    else:
        value = _executed(order)
        by_value = frozenset((order["module"],))
        for name in order["name"].split("."):
            if not hasattr(value, name):
                near = ", ".join(sorted(key for key in vars(value) if not key.startswith("_"))[:20])
                message = f"{order['target']}: there is no {order['name']!r}; there are: {near or 'no names'}"
                raise LookupError(message)
            value = getattr(value, name)
    content = dumps(value, by_value)
    dill.loads(content)  # noqa: S301 - made a line ago: what cannot be loaded must not be reviewed and shipped
    return {"content": content.hex(), **facts(value)}


def _load_room() -> Any:
    from importlib.util import module_from_spec, spec_from_file_location  # noqa: PLC0415

    spec = spec_from_file_location(
        "akjob_code_load", os.path.join(os.path.dirname(os.path.abspath(__file__)), "load.py")
    )
    if spec is None or spec.loader is None:
        raise ImportError("akjob/code/load.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def facts(value: object) -> dict[str, Any]:
    """Return qualified name, signature and source text of what is packed, as far as they can be told."""
    import inspect  # noqa: PLC0415 - heavy

    kind: Any = value if isinstance(value, type) or hasattr(value, "__qualname__") else type(value)
    module = getattr(kind, "__module__", "") or ""
    run: Any = getattr(value, "run", None)
    function: Any = run if callable(run) else value
    try:
        signature = ("run" if callable(run) else "") + str(inspect.signature(function))
    except (TypeError, ValueError):
        signature = ""
    try:
        source = inspect.getsource(kind)
    except (TypeError, OSError):
        source = ""
    return {
        "qualname": f"{module}.{getattr(kind, '__qualname__', '')}".lstrip("."),
        "signature": signature if " at 0x" not in signature else "",
        "source": source,
    }


def main() -> None:
    """Read an order as JSON from standard input, write the answer to the file it names."""
    order = json.load(sys.stdin)
    try:
        answer = _packed(order)
    except BaseException as error:  # noqa: BLE001 - whatever the user's code raises is the answer
        answer = {"error": f"{type(error).__name__}: {error}"}
    with open(order["answer"], "w", encoding="utf-8") as file:
        json.dump(answer, file)


if __name__ == "__main__":
    main()
