"""Packing is reproducible and says what it packed; what was packed does what its source does."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from akjob.code.calls import JobCallable
from akjob.code.load import load_dill
from akjob.code.pack import Packed, notebook_source, pack, pack_object, rebuild
from akjob.code.pickles import examine_bytes
from akjob.errors import AkjobError

SCRIPT = '''
import json
from helpers import shout

TABLE = {"c", "a", "b", "d"}
LIMIT = 3

print("executed")

def helper(value):
    """Return what is known of a value."""
    return sorted(TABLE) if value in {"u", "v", "w"} else [shout(value)]

def send(region, dry_run=False):
    def inner():
        return json.dumps([region, dry_run, LIMIT, helper(region)])
    return inner()

double = lambda x: x * 2

class Report:
    """A report."""
    sizes = frozenset({"x", "y", "z"})
    def __init__(self, n=0):
        self.n = n
    def run(self):
        self.n += 1
        return [self.n, helper("u"), sorted(self.sizes)]

ready = Report(5)
connection = (x for x in ())

if __name__ == "__main__":
    raise SystemExit("not to be executed")
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a script, a module it imports and a package."""
    (tmp_path / "send.py").write_text(SCRIPT)
    (tmp_path / "helpers.py").write_text("def shout(value):\n    return value.upper()\n")
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").write_text("")
    (tmp_path / "shop" / "mail.py").write_text(
        "from .names import NAME\n\ndef send():\n    return greet() + NAME\n\ndef greet():\n    return 'hello '\n"
    )
    (tmp_path / "shop" / "names.py").write_text("NAME = 'shop'\n")
    return tmp_path


def packed(folder: Path, target: str, output: str = "out.dill", **options: Any) -> Packed:
    """Pack a target whose modules are in the folder."""
    place, colon, name = target.rpartition(":")
    if place.endswith((".py", ".ipynb")):
        target = f"{folder / place}{colon}{name}"
    return pack(target, folder / output, path=[str(folder)], **options)


def called(made: Packed, *args: Any, **kwargs: Any) -> Any:
    """Call what was packed as a run of this Python would, in a process that knows only the helpers."""
    order = (str(made.file), made.record["sha256"], made.record["python"], list(args), kwargs)
    script = (
        f"import sys; sys.path[:0] = [{str(Path(__file__).parents[2])!r}, {str(made.file.parent)!r}]\n"
        f"sys.modules['send'] = None\nfrom akjob.code.load import load_dill\n"
        f"import json; print(json.dumps(load_dill(*{order!r})()))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_function_of_a_script_is_packed_whole(folder: Path) -> None:
    """A function of a script runs without the script; modules it imports are imported by name."""
    made = packed(folder, "send.py:send")
    assert json.loads(called(made, "emea")) == ["emea", False, 3, ["EMEA"]]
    assert json.loads(called(made, region="u", dry_run=True)) == ["u", True, 3, ["a", "b", "c", "d"]]


def test_lambda_class_and_object(folder: Path) -> None:
    """A lambda, a class with ``run`` and an object of one are packed alike."""
    assert called(packed(folder, "send.py:double"), 4) == 8
    expected = [["a", "b", "c", "d"], ["x", "y", "z"]]
    assert called(packed(folder, "send.py:Report")) == [1, *expected]
    assert called(packed(folder, "send.py:Report"), 8) == [9, *expected]
    assert called(packed(folder, "send.py:ready")) == [6, *expected]


def test_importable_function_is_referenced(folder: Path) -> None:
    """A function of a module is packed by its name, and whole on request, with what it uses of its module."""
    assert packed(folder, "shop.mail:send").record["gives"] == "shop.mail.send, by its name"
    whole = packed(folder, "shop.mail:send", by_value=True)
    assert whole.record["gives"] == "the function send, whole"
    (folder / "shop" / "mail.py").write_text("")
    assert called(whole) == "hello shop"


def test_dotted_target_by_value(folder: Path) -> None:
    """Without a colon the module is found, too."""
    assert packed(folder, "shop.mail.send", by_value=True).record["gives"] == "the function send, whole"


def test_script_on_standard_input(folder: Path) -> None:
    """``-:name`` packs a name of the script that is handed in."""
    assert called(packed(folder, "-:f", stdin="f = lambda: 'from stdin'\n")) == "from stdin"


def test_notebook(folder: Path) -> None:
    """A notebook's code cells are one script, without what only IPython understands."""
    cells = [
        {"cell_type": "markdown", "source": ["# Title"]},
        {"cell_type": "code", "source": ["%matplotlib inline\n", "!ls\n", "x = 20\n"]},
        {"cell_type": "code", "source": "%%bash\nls\n"},
        {"cell_type": "code", "source": "def report():\n    return x + 1\n"},
    ]
    (folder / "nb.ipynb").write_text(json.dumps({"cells": cells}))
    assert called(packed(folder, "nb.ipynb:report")) == 21
    with pytest.raises(AkjobError, match="is not a notebook of format 4"):
        notebook_source("{}", "x.ipynb")


def test_same_source_same_bytes(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Neither the folder, nor the hour, nor the order of sets, nor lines above the function change a byte."""
    other = tmp_path_factory.mktemp("other")
    for file in ("send.py", "helpers.py"):
        (other / file).write_text((folder / file).read_text())
    for name in ("send", "ready"):
        first, second = packed(folder, f"send.py:{name}"), packed(other, f"send.py:{name}")
        assert first.file.read_bytes() == second.file.read_bytes()
        assert Path(f"{first.file}.json").read_bytes() == Path(f"{second.file}.json").read_bytes()
        (other / "send.py").write_text("# a comment above\n\n" + (folder / "send.py").read_text())
        assert packed(other, f"send.py:{name}").file.read_bytes() == first.file.read_bytes()
        (other / "send.py").write_text((folder / "send.py").read_text())


def test_packing_again_writes_nothing(folder: Path) -> None:
    """When nothing changed no file is touched."""
    assert packed(folder, "send.py:send").changed
    before = (folder / "out.dill").stat().st_ino
    assert not packed(folder, "send.py:send").changed
    assert (folder / "out.dill").stat().st_ino == before


def test_objects_of_this_process_pack_the_same() -> None:
    """Two equal objects pack to the same bytes, whether their texts are one object or two."""
    from akjob.code.dump import dumps  # noqa: PLC0415

    word = str(b"word", "ascii")
    assert dumps({"a": word, "b": "word"}) == dumps({"a": "word", "b": "word"})
    assert dumps([b"x" * 3, b"xxx"]) == dumps([b"xxx"] * 2)
    assert dumps({3, "a", None}) == dumps({"a", None, 3})


def test_record(folder: Path) -> None:
    """The record has hash, size, Python, what is inside, imports with their distributions, and the source."""
    (folder / "uses.py").write_text("import click\ndef go(x: int, *, y=2):\n    return click.echo(x)\n")
    made = packed(folder, "uses.py:go")
    record = json.loads(Path(f"{made.file}.json").read_text())
    assert record == made.record
    assert record["size"] == made.file.stat().st_size
    assert record["python"] == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert record["magic"] > 3000
    assert record["dill"]
    assert (record["qualname"], record["signature"]) == ("uses.go", "(x: int, *, y=2)")
    assert [entry["module"] for entry in record["imports"]] == ["click"]
    assert record["imports"][0]["distribution"] == "click"
    assert record["imports"][0]["version"]
    assert record["made_from"]["text"] == (folder / "uses.py").read_text()
    assert record["made_from"]["target"] == "uses.py:go"


def test_toml(folder: Path) -> None:
    """The printed lines are the job file's, with file, hash and Python."""
    made = packed(folder, "send.py:double")
    digest = made.record["sha256"]
    python = made.record["python"]
    assert made.toml({"x": 2}) == (
        f'dill = {{ file = "out.dill", sha256 = "{digest}", python = "{python}" }}\nkwargs = {{ x = 2 }}\n'
    )
    assert tomli_w.dumps(made.table())


def test_rebuild(folder: Path) -> None:
    """A lost or outdated dill file is made again from its record, without the script; imports are found beside it."""
    made = packed(folder, "send.py:send")
    content = made.file.read_bytes()
    made.file.unlink()
    (folder / "send.py").unlink()
    again = rebuild(made.file, path=[])
    assert again.file.read_bytes() == content
    assert again.record == made.record


def test_rebuild_of_a_live_object(folder: Path) -> None:
    """What holds only names and values is good for any Python; code of an object that ran has no source."""
    made = pack_object(JobCallable(print, "Hello"), folder / "hello.dill")
    assert rebuild(made.file, path=[]).record == made.record
    made = pack_object(JobCallable(lambda: 3), folder / "three.dill")
    with pytest.raises(AkjobError, match="was made from an object in a running program") as caught:
        rebuild(made.file, path=[])
    assert "run the program that saved it again" in caught.value.hint
    with pytest.raises(AkjobError, match=r"nothing\.dill\.json cannot be read"):
        rebuild(folder / "nothing.dill", path=[])


@pytest.mark.parametrize(
    ("target", "options", "message"),
    [
        ("nope.py:x", {}, "cannot be read: No such file"),
        ("send.py:sned", {}, "there is no 'sned'; there are: LIMIT, Report"),
        ("shop.mial:send", {}, "there is no module 'shop.mial' (did you mean 'mail'?)"),
        ("shop.mial:send", {"by_value": True}, "there is no module shop.mial"),
        ("sys:exit", {"by_value": True}, "sys has no Python source"),
        ("send.py:connection", {}, "cannot be packed"),
        ("-:f", {"stdin": "f = (\n"}, "SyntaxError"),
        ("-:f", {"stdin": "raise SystemExit(3)\n"}, "SystemExit: 3"),
        ("-:f", {"stdin": "import os\nos._exit(9)\n"}, "ended with the code 9"),
    ],
)
def test_what_cannot_be_packed_is_explained(folder: Path, target: str, options: dict[str, Any], message: str) -> None:
    """The message names the target and the reason; no file is left behind."""
    with pytest.raises(AkjobError) as caught:
        packed(folder, target, "refused.dill", **options)
    assert message in caught.value.message
    assert not (folder / "refused.dill").exists()


def test_live_object_that_cannot_be_packed(tmp_path: Path) -> None:
    """An open file in a code object is refused with advice."""
    code = JobCallable(print)
    code.args = (iter(lambda: 1, 2), (number for number in range(2)))
    with pytest.raises(AkjobError, match="cannot be packed: ") as caught:
        pack_object(code, tmp_path / "x.dill")
    assert "make them in run()" in caught.value.hint


def test_packed_function_keeps_its_lines(folder: Path) -> None:
    """Lines of a packed function count from its own ``def``, its file has no folder: the source is in the record."""
    made = packed(folder, "send.py:send")
    codes = {code["name"]: (code["file"], code["line"]) for code in examine_bytes(made.file.read_bytes())["code"]}
    assert codes["send"] == ("send.py", 1)
    assert codes["send.<locals>.inner"] == ("send.py", 2)


def test_loading_refuses_what_was_changed(folder: Path) -> None:
    """The hash that pack printed is the one that a run compares."""
    made = packed(folder, "send.py:double")
    call = load_dill(str(made.file), made.record["sha256"], made.record["python"], [2])
    assert call() == 4
