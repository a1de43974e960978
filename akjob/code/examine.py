"""What is inside a dill file, found out without executing any of it.

Run as a file of its own by ``python -I -S``: it limits itself, reads the pickle from standard input and writes one JSON
object. The pickle's instructions are followed with symbols in place of objects: where a real unpickler would import or
call something, this one writes down what. Nothing of akjob is imported here.
"""

import json
import pickletools
import re
import sys
from dis import opmap
from io import BytesIO
from typing import Any

MEMORY = 512 * 1024 * 1024
CPU_SECONDS = 10
SHOWN = 200
TEXT = 200

# Calling these while loading does no more than build a value. Everything else is at least worth a look.
_BUILDERS = {
    "types": frozenset(["GenericAlias"]),
    "dill._dill": frozenset(
        [
            "_create_function",
            "_create_code",
            "_create_cell",
            "_create_type",
            "_create_namedtuple",
            "_load_type",
            "_import_module",
            "_setitems",
            "_setattr",
            "_create_stringi",
            "_create_stringo",
            "_create_typing_tuple",
            "_get_attr",
            "_getattribute",
            "_create_lock",
            "_create_rlock",
            "_create_weakref",
            "_create_weakproxy",
            "_create_ftype",
        ]
    ),
    "builtins": frozenset(
        [
            "set",
            "frozenset",
            "bytearray",
            "bytes",
            "complex",
            "object",
            "range",
            "slice",
            "type",
            "staticmethod",
            "classmethod",
            "property",
            "getattr",
            "setattr",
            "list",
            "dict",
            "tuple",
            "int",
            "float",
            "str",
            "bool",
            "super",
            "reversed",
        ]
    ),
    "copyreg": frozenset(("_reconstructor", "__newobj__", "__newobj_ex__")),
    "functools": frozenset(("partial", "partialmethod", "cached_property", "lru_cache")),
    "operator": frozenset(("attrgetter", "itemgetter", "methodcaller")),
    "array": frozenset(("_array_reconstructor",)),
    "logging": frozenset(("getLogger",)),
    "random": frozenset(("Random",)),
    "akjob.code.calls": frozenset(("JobCallable",)),
}
_BUILDING_MODULES = frozenset(
    ["collections", "datetime", "decimal", "fractions", "ipaddress", "itertools", "pathlib", "re", "uuid", "zoneinfo"]
)
# dill evaluates what it has no better form for; of these texts it is known what they come to
_EVALUATED = re.compile(r"Ellipsis|NotImplemented|range\(-?\d+, -?\d+(?:, -?\d+)?\)")
_MAKERS_OF_CLASSES = ("_create_type", "type", "new_class", "_create_namedtuple")
# Methods of a class that unpickling runs. A class packed in the file that has one runs its own code while loading.
_RUN_AT_LOAD = frozenset(("__new__", "__setstate__", "__init_subclass__", "__set_name__", "__prepare__"))
_DANGEROUS_BUILTINS = frozenset(
    ["eval", "exec", "compile", "__import__", "open", "input", "breakpoint", "globals", "vars", "delattr"]
)
_DANGEROUS_MODULES = frozenset(
    [
        "os",
        "posix",
        "nt",
        "subprocess",
        "sys",
        "socket",
        "shutil",
        "pty",
        "ctypes",
        "_ctypes",
        "importlib",
        "runpy",
        "code",
        "codeop",
        "marshal",
        "pickle",
        "_pickle",
        "dill",
        "signal",
        "multiprocessing",
        "asyncio",
        "webbrowser",
        "urllib",
        "http",
        "ftplib",
        "smtplib",
        "telnetlib",
        "requests",
        "commands",
        "timeit",
        "cProfile",
        "profile",
        "pdb",
        "bdb",
        "trace",
        "doctest",
        "codeop",
        "_thread",
        "mmap",
        "fcntl",
        "atexit",
        "site",
        "zipimport",
        "pkgutil",
        "numpy.testing",
    ]
)
_OPENERS = frozenset(("open", "open_code", "FileIO", "fdopen"))
_OLD_NAMES = {"__builtin__": "builtins", "copy_reg": "copyreg", "nt": "os", "posix": "os"}

HARMLESS, UNKNOWN, DANGEROUS = "builds", "unknown", "dangerous"


class Name:
    """What an import would give: ``module.name``, or the module itself where ``name`` is empty."""

    def __init__(self, module: str, name: str) -> None:
        self.module = _OLD_NAMES.get(module, module)
        self.name = name

    def __str__(self) -> str:
        return f"{self.module}.{self.name}" if self.name else self.module


class PickleCall:
    """What a call would give."""

    def __init__(self, function: object, args: Any) -> None:
        self.function = function
        self.args = args

    def __str__(self) -> str:
        return f"{_shown(self.function)}(…)"

    __repr__ = __str__  # within a tuple too, and the same at every run


class PickleMark:
    """The mark on the stack."""


MARK = PickleMark()


def _is_made_by(value: object, *names: str) -> bool:
    return isinstance(value, PickleCall) and isinstance(value.function, Name) and value.function.name in names


def _shown(value: object) -> str:
    if _is_made_by(value, "_create_function", "FunctionType"):
        return "a function packed in this file"
    if _is_made_by(value, "_create_type"):
        return "a class packed in this file"
    text = str(value) if isinstance(value, (Name, PickleCall)) else repr(value)
    return text if len(text) <= TEXT else text[:TEXT] + "…"


class PickleReader:
    """Follows a pickle's instructions. ``names``, ``calls`` and ``codes`` are what it met, in order.

    ``bytecode`` says that its code objects are of the Python that reads them.
    """

    def __init__(self, *, bytecode: bool = True) -> None:
        self.bytecode = bytecode
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.names: dict[str, None] = {}
        self.calls: dict[tuple[str, str, str], int] = {}
        self.codes: list[dict[str, Any]] = []
        self.modules: dict[str, None] = {}
        self.strings: dict[str, None] = {}
        self.protocol = 0

    def read(self, content: bytes) -> Any:
        """Follow all instructions; return what the file would give, as symbols. Raises if it is not a pickle."""
        for opcode, argument, _ in pickletools.genops(BytesIO(content)):
            if opcode.name == "STOP":
                return self.stack.pop()
            step = getattr(self, f"_{opcode.name.lower()}", None)
            if step is not None:
                step(argument)
            elif not self._pushes(opcode.name, argument):
                message = f"the instruction {opcode.name} is not one that dill writes"
                raise ValueError(message)
        message = "it has no end"
        raise ValueError(message)

    def _pushes(self, name: str, argument: object) -> bool:
        """Deal with the instructions that only push a value, or do nothing to the stack."""
        if name in ("FRAME", "READONLY_BUFFER"):
            return True
        constants = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
        if name in constants:
            self.stack.append(constants[name])
            return True
        fresh = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": set}
        if name in fresh:
            self.stack.append([])
            return True
        if argument is None:
            return False
        if isinstance(argument, str) and len(self.strings) < SHOWN:
            self.strings[argument[:TEXT]] = None
        self.stack.append(argument)
        return True

    # the stack

    def _to_mark(self) -> list[Any]:
        at = len(self.stack) - 1 - self.stack[::-1].index(MARK)
        items = self.stack[at + 1 :]
        del self.stack[at:]
        return items

    def _proto(self, argument: Any) -> None:
        self.protocol = argument

    def _mark(self, _: object) -> None:
        self.stack.append(MARK)

    def _pop(self, _: object) -> None:
        self.stack.pop()

    def _pop_mark(self, _: object) -> None:
        self._to_mark()

    def _dup(self, _: object) -> None:
        self.stack.append(self.stack[-1])

    def _memoize(self, _: object) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def _put(self, argument: Any) -> None:
        self.memo[int(argument)] = self.stack[-1]

    def _get(self, argument: Any) -> None:
        self.stack.append(self.memo[int(argument)])

    _binput = _long_binput = _put
    _binget = _long_binget = _get

    # containers: a dict is a list of alternating keys and values, a set a list

    def _tuple(self, _: object) -> None:
        items = self._to_mark()
        self.stack.append(tuple(items))

    def _some(self, count: int) -> None:
        items = tuple(self.stack[-count:])
        del self.stack[-count:]
        self.stack.append(items)

    def _tuple1(self, _: object) -> None:
        self._some(1)

    def _tuple2(self, _: object) -> None:
        self._some(2)

    def _tuple3(self, _: object) -> None:
        self._some(3)

    def _list(self, _: object) -> None:
        self.stack.append(self._to_mark())

    _dict = _frozenset = _list

    def _into(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(items)
        elif isinstance(target, Name):
            self._note(f"changes {target}", DANGEROUS, items)

    def _append(self, _: object) -> None:
        item = self.stack.pop()
        self._into([item])

    def _setitem(self, _: object) -> None:
        items = self.stack[-2:]
        del self.stack[-2:]
        self._into(items)

    def _appends(self, _: object) -> None:
        items = self._to_mark()
        self._into(items)

    _setitems = _additems = _appends

    # what would be imported and called

    def _named(self, module: object, name: object) -> None:
        if not (isinstance(module, str) and isinstance(name, str)):
            self._note("imports a name that it computes", DANGEROUS, (module, name))
            module, name = "?", "?"
        found = Name(module, name)
        self.names[str(found)] = None
        self.modules[found.module] = None
        self.stack.append(found)

    def _global(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self._named(module, name)

    def _stack_global(self, _: object) -> None:
        name = self.stack.pop()
        module = self.stack.pop()
        self._named(module, name)

    def _reduce(self, _: object) -> None:
        args = self.stack.pop()
        function = self.stack.pop()
        self._call(function, args)

    def _newobj(self, _: object) -> None:
        args = self.stack.pop()
        cls = self.stack.pop()
        self._make(cls, args)

    def _newobj_ex(self, _: object) -> None:
        kwargs = self.stack.pop()
        args = self.stack.pop()
        cls = self.stack.pop()
        self._make(cls, (args, kwargs))

    def _obj(self, _: object) -> None:
        cls, *args = self._to_mark()
        self._call(cls, tuple(args))

    def _inst(self, argument: str) -> None:
        args = self._to_mark()
        module, _, name = argument.partition(" ")
        self._named(module, name)
        self._call(self.stack.pop(), tuple(args))

    def _build(self, _: object) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if isinstance(target, Name):
            self._note(f"changes {target}", DANGEROUS, state)

    def _ext1(self, argument: object) -> None:
        self._note(f"uses the registered extension {argument}", UNKNOWN, ())
        self.stack.append(Name("copyreg", f"extension {argument}"))

    _ext2 = _ext4 = _ext1

    def _persid(self, argument: object) -> None:
        self._note(f"asks for the persistent object {argument!r}", UNKNOWN, ())
        self.stack.append(None)

    def _binpersid(self, _: object) -> None:
        self._persid(self.stack.pop())

    def _make(self, cls: Any, args: Any) -> None:
        """``cls.__new__``: an object without its ``__init__``; of a class that is a danger to call, as a call."""
        if isinstance(cls, Name) and _verdict(cls) == DANGEROUS:
            self._call(cls, args)
            return
        if not isinstance(cls, Name):
            own = _is_made_by(cls, *_MAKERS_OF_CLASSES)
            members = cls.args[3] if own and len(cls.args) > 3 and isinstance(cls.args[3], list) else []  # noqa: PLR2004
            special = [name for name in members[::2] if isinstance(name, str) and name in _RUN_AT_LOAD]
            if special or not own:
                self._note(
                    f"runs {', '.join(special) or '__new__'} of {_shown(cls)}", UNKNOWN if own else DANGEROUS, args
                )
        self.stack.append(PickleCall(cls, args))

    def _call(self, function: Any, args: Any) -> None:
        if isinstance(function, Name):
            made = self._resolved(function, args)
            if made is not None:
                self.stack.append(made)
                return
            self._judge(function, args)
        elif not _is_made_by(function, "_load_type"):
            own = _is_made_by(function, *_MAKERS_OF_CLASSES)
            self._note(f"calls {_shown(function)}", UNKNOWN if own else DANGEROUS, args)
        elif function.args == ("CodeType",):
            self._code(args)
        self.stack.append(PickleCall(function, args))

    def _judge(self, function: Name, args: object) -> None:
        """Write down a call of something that has a name, unless it only builds a value."""
        given = args if isinstance(args, (tuple, list)) else ()
        if function.name in ("setattr", "_setattr", "_setitems") and given:
            if isinstance(given[0], Name):
                self._note(f"changes {given[0]}", DANGEROUS, args)
            elif len(given) > 1 and isinstance(given[1], str) and given[1] in _RUN_AT_LOAD:
                self._note(f"gives a class {given[1]}", UNKNOWN, args)
        verdict = _verdict(function)
        if str(function) == "dill._dill._eval_repr" and _is_plain_text(given):
            verdict = HARMLESS
        if verdict != HARMLESS:
            self._note(f"calls {function}", verdict, args)
        if function.name in ("_create_code", "CodeType"):
            self._code(args)

    def _resolved(self, function: Name, args: object) -> Name | None:
        """Return the name that ``getattr`` or dill's import leads to: a detour must not hide it."""
        if not isinstance(args, (tuple, list)) or not args:
            return None
        if function.name == "_import_module" and isinstance(args[0], str):
            self.modules[args[0]] = None
            return Name(args[0], "")
        is_getattr = str(function) in ("builtins.getattr", "dill._dill._get_attr", "dill._dill._getattribute")
        if is_getattr and len(args) > 1 and isinstance(args[0], Name) and isinstance(args[1], str):
            found = Name(str(args[0]), args[1])
            self.names[str(found)] = None
            return found
        return None

    def _note(self, what: str, verdict: str, args: object) -> None:
        key = (what, verdict, _arguments(args))
        self.calls[key] = self.calls.get(key, 0) + 1

    def _code(self, args: object) -> None:
        code = code_facts(args, bytecode=self.bytecode)
        if code is not None and len(self.codes) < SHOWN:
            self.codes.append(code)
            for module in code["imports"]:
                self.modules[module] = None


def _is_plain_text(given: Any) -> bool:
    return len(given) == 1 and isinstance(given[0], str) and _EVALUATED.fullmatch(given[0]) is not None


def _verdict(name: Name) -> str:
    if name.module == "builtins":
        first = name.name.partition(".")[0]
        if first in _DANGEROUS_BUILTINS:
            return DANGEROUS
        is_error = first.endswith(("Error", "Exception", "Warning"))
        return HARMLESS if is_error or first in _BUILDERS["builtins"] else UNKNOWN
    if name.name in _BUILDERS.get(name.module, ()):
        return HARMLESS
    if name.name in _OPENERS:
        return DANGEROUS
    if name.module == "types":
        return HARMLESS if name.name.endswith("Type") or name.name in ("SimpleNamespace", "new_class") else UNKNOWN
    parts = name.module.split(".")
    above = {".".join(parts[:size]) for size in range(1, len(parts) + 1)}
    if above & _DANGEROUS_MODULES:
        return DANGEROUS
    return HARMLESS if parts[0] in _BUILDING_MODULES else UNKNOWN


def _arguments(args: object) -> str:
    if not isinstance(args, tuple):
        return _shown(args)
    text = ", ".join(_shown(value) for value in args[:8])
    return text if len(text) <= TEXT else text[:TEXT] + "…"


def code_facts(args: object, *, bytecode: bool) -> dict[str, Any] | None:
    """Return name, file, line, parameters, names, imports and strings of a code object's arguments; None for others."""
    values = list(args) if isinstance(args, (tuple, list)) else []
    bodies = [at for at, value in enumerate(values) if isinstance(value, bytes)]
    start = next((at for at in bodies if at >= 6 and isinstance(values[at - 1], int)), None)  # noqa: PLR2004
    if start is None or len(values) < start + 8:
        return None
    body, consts, names, variables, file, name, qualname, line = values[start : start + 8]
    if not isinstance(qualname, str):
        qualname, line = name, qualname
    if not isinstance(names, (tuple, list)) or not isinstance(consts, (tuple, list)):
        return None
    count = values[start - 6] if isinstance(values[start - 6], int) else 0
    return {
        "name": str(qualname),
        "file": str(file),
        "line": line if isinstance(line, int) else 0,
        "parameters": [str(value) for value in (variables or ())[:count]],
        "names": [str(value)[:TEXT] for value in names[:SHOWN]],
        "imports": _imported(body, names) if bytecode else [],
        "strings": [value[:TEXT] for value in consts if isinstance(value, str)][:SHOWN],
    }


def _imported(body: bytes, names: Any) -> list[str]:
    """Return what ``import`` statements in this code name; only right for code of the Python that runs this."""
    found: dict[str, None] = {}
    extended = 0
    for at in range(0, len(body) - 1, 2):
        argument = body[at + 1] | extended
        extended = argument << 8 if body[at] == opmap["EXTENDED_ARG"] else 0
        if body[at] == opmap["IMPORT_NAME"] and argument < len(names):
            found[str(names[argument])] = None
    return list(found)


def describe(value: Any) -> str:
    """Return in a few words what the file gives when it is loaded."""
    if isinstance(value, Name):
        return f"{value}, by its name"
    if isinstance(value, PickleCall):
        name = value.function.name if isinstance(value.function, Name) else ""
        args = value.args if isinstance(value.args, (tuple, list)) else ()
        if name == "_create_function":
            own = args[2] if len(args) > 2 and isinstance(args[2], str) else "?"  # noqa: PLR2004
            return f"the function {own}, whole"
        if name == "_create_type":
            return f"the class {args[1] if len(args) > 1 else '?'}, whole"
        if isinstance(value.function, PickleCall):
            inner = value.function
            if _is_made_by(inner, "_load_type") and inner.args and isinstance(inner.args[0], str):
                return f"an object of {inner.args[0]}"
            own = inner.args[1] if isinstance(inner.args, (tuple, list)) and len(inner.args) > 1 else "?"
            return f"an object of the class {own}, whole"
        return f"an object of {value.function}"
    return f"a value of type {type(value).__name__}"


def examine(content: bytes, python: str = "") -> dict[str, Any]:
    """Return what is inside; ``error`` says why the reading ended early, or is empty.

    ``python`` is the version it is said to be packed by (``"3.11"``): of another one's code, imports are not told.
    """
    reader = PickleReader(bytecode=python in ("", f"{sys.version_info[0]}.{sys.version_info[1]}"))
    gives, error = "", ""
    try:
        gives = describe(reader.read(content))
    except MemoryError:
        error = "it asks for more memory than looking at it may take"
    except Exception as caught:  # noqa: BLE001 - a hostile file may break it anywhere; that it does is the finding
        error = f"it cannot be read to its end: {type(caught).__name__}: {caught}"
    return {
        "gives": gives,
        "protocol": reader.protocol,
        "names": sorted(reader.names),
        "modules": sorted(reader.modules),
        "calls": [
            {"what": what, "verdict": verdict, "arguments": arguments, "count": count}
            for (what, verdict, arguments), count in reader.calls.items()
        ],
        "code": reader.codes,
        "strings": sorted(reader.strings)[:SHOWN],
        "error": error,
    }


def _limit() -> None:
    import resource  # noqa: PLC0415 - only the process of its own limits itself

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024 * 1024 * 64, 1024 * 1024 * 64))


def main() -> None:
    """Read a pickle from standard input, write the report to standard output. The argument is its Python's version."""
    content = sys.stdin.buffer.read()
    _limit()
    json.dump(examine(content, *sys.argv[1:]), sys.stdout)


if __name__ == "__main__":
    main()
