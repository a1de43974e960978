"""What a job sends is checked and gets the keys that only akjob sets."""

import json
import subprocess
import sys

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from akjob.log.line import encode
from akjob.log.line.wrap import wrap

PREFIX = b'"source":"job","job":"a/b","run":"r1","seq":3'
STAMP = "2026-03-29T00:00:00.000000Z"
GOOD = '{"timestamp":"2026-03-29T00:00:00.000000Z","level":"info","event":"sent"'

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=4),
    max_leaves=12,
)


def test_a_message_becomes_a_line() -> None:
    """The four keys stand behind the timestamp, the rest stays as it was."""
    assert wrap((GOOD + ',"mails":3}').encode(), PREFIX) == (
        b'{"timestamp":"2026-03-29T00:00:00.000000Z","source":"job","job":"a/b","run":"r1","seq":3,'
        b'"level":"info","event":"sent","mails":3}\n'
    )


@pytest.mark.parametrize(
    "message",
    [
        "",
        "{}",
        "plain text",
        GOOD,
        GOOD + "}}",
        GOOD + "} ",
        GOOD + ',"a":1,}',
        GOOD + ',"seq":1}',
        GOOD + ',"source":"akjobd"}',
        GOOD + ',"run":"other"}',
        GOOD + ',"job":"other"}',
        GOOD + ',"a":NaN}',
        GOOD + ',\n"a":1}',
        GOOD + ',"a":"\\ud800"}',
        GOOD + ',"a":["\\uDC00"]}',
        GOOD + ',"a":"\t"}',
        GOOD + ',"a":' + "[" * 100_000 + "}",
        GOOD + ',"a":' + "9" * 10_000 + "}",
        GOOD.replace('"info"', '"loud"') + "}",
        GOOD.replace('"sent"', "1") + "}",
        GOOD.replace("T00", " 00") + "}",
        GOOD.replace(".000000Z", ".00000000") + "}",
        '{"level":"info","event":"x","timestamp":"2026-03-29T00:00:00.000000Z"}',
        "[" + GOOD + "}]",
    ],
)
def test_what_is_no_message(message: str) -> None:
    """Garbage, foreign keys, half surrogates and nesting without end are refused, not raised."""
    assert wrap(message.encode(), PREFIX) is None


def test_bytes_that_are_no_text() -> None:
    """A message that is not UTF-8 is refused."""
    assert wrap(GOOD.encode() + b',"a":"\xff"}', PREFIX) is None


def test_a_pair_of_surrogates_is_text() -> None:
    """JSON may write one character as an escaped pair."""
    assert wrap((GOOD + ',"a":"\\ud83d\\ude00"}').encode(), PREFIX) is not None


@settings(max_examples=40)
@given(st.dictionaries(st.text(max_size=8) | st.sampled_from(sorted(encode.RESERVED)), json_values, max_size=6))
def test_whatever_a_job_logs_is_a_line(fields: dict[str, object]) -> None:
    """Any fields make a message that is taken and that a strict reader understands; run and seq are not the job's."""
    made = wrap(encode.message(STAMP, "info", "e", "log", fields), PREFIX)
    assert made is not None
    line = msgspec.json.decode(made)
    assert (line["source"], line["job"], line["run"], line["seq"]) == ("job", "a/b", "r1", 3)
    assert made.count(b"\n") == 1
    keys = json.loads(made, object_pairs_hook=lambda pairs: [key for key, _ in pairs])
    assert len(keys) == len(set(keys)) == len(fields) + 8


@given(st.dictionaries(st.text(max_size=8), st.text(), max_size=6))
def test_texts_come_through(fields: dict[str, str]) -> None:
    """Texts arrive as they were."""
    made = msgspec.json.decode(encode.message(STAMP, "info", "e", None, fields))
    assert [value for key, value in made.items() if key not in {"timestamp", "level", "event"}] == list(fields.values())


def test_reserved_fields_get_an_underscore() -> None:
    """A field that is called like a reserved key is kept beside it."""
    made = msgspec.json.decode(encode.message(STAMP, "info", "e", None, {"run": 1, "run_": 2, "timestamp": 3}))
    assert made == {
        "timestamp": STAMP, "level": "info", "event": "e", "run_": 1, "run__": 2, "timestamp_": 3,
    }  # fmt: skip


def test_what_json_has_no_word_for() -> None:
    """Other values are written as their repr; one that cannot be shown says so; half surrogates are escapes."""

    class Odd:
        def __repr__(self) -> str:
            raise RuntimeError

    loop: list[object] = []
    loop.append(loop)
    fields = {"set": {1}, "nan": float("nan"), "odd": Odd(), "bytes": b"x", "half": "a\udc80", "tuple": (1,)}
    made = msgspec.json.decode(encode.message(STAMP, "info", Odd(), None, {**fields, "loop": loop}))
    assert made["event"] == "<Odd that cannot be shown: RuntimeError>"
    assert (made["set"], made["nan"], made["bytes"], made["tuple"]) == ("{1}", "nan", "b'x'", [1])
    assert made["odd"] == "<Odd that cannot be shown: RuntimeError>"
    assert made["half"] == "a\\udc80"


@pytest.mark.parametrize(
    "fields",
    [
        {"a": "x" * 1_000_000},
        {"a": ["y" * 100] * 100_000},
        {str(n): "z" * 1000 for n in range(10_000)},
        {"a": {"b": {str(n): [n] * 100 for n in range(1000)}}},
    ],
)
def test_a_long_message_is_cut(fields: dict[str, object]) -> None:
    """A message never exceeds its size; a cut one says so and is still one object."""
    data = encode.message(STAMP, "info", "e" * 300_000, "log", fields)
    assert len(data) <= encode.MAX_MESSAGE
    assert msgspec.json.decode(data)["truncated"] is True


def test_the_shims_part_is_light() -> None:
    """Checking a message loads neither json nor re nor typing: the zygote has to stay small."""
    code = "import sys; from akjob.log.line import wrap; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    bare = subprocess.run(
        [sys.executable, "-I", "-c", "import sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split()) - set(bare.stdout.split())
    assert loaded <= {"akjob", "akjob.log", "akjob.log.line", "akjob.log.line.wrap", "_json", "__future__"}
