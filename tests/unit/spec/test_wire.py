"""Values on their way through JSON."""

import json
from datetime import UTC, date, datetime, time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from akjob.toml.wire import from_json, to_json

PLAIN = st.one_of(
    st.text(max_size=5),
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
    st.floats(allow_nan=False),
    st.dates(),
    st.times().map(lambda moment: moment.replace(fold=0)),
    st.datetimes(timezones=st.sampled_from([None, UTC])).map(lambda moment: moment.replace(fold=0)),
)
KEYS = st.one_of(st.just("$toml"), st.text(max_size=3))
VALUES = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=2))


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (date(2026, 1, 2), {"$toml": "2026-01-02"}),
        ([time(9, 30), 1.5], [{"$toml": "09:30:00"}, 1.5]),
        (datetime(2026, 1, 2, tzinfo=UTC), {"$toml": "2026-01-02T00:00:00+00:00"}),
        (float("inf"), {"$toml": "inf"}),
        ({"$toml": "x"}, {"$toml": {"$toml": "x"}}),
        ({"$toml": "x", "a": 1}, {"$toml": "x", "a": 1}),
    ],
)
def test_what_is_written(value: Any, written: Any) -> None:
    """What JSON has stays as it is; a table is a mark only if it is ours."""
    assert to_json(value) == written
    assert from_json(written) == value


@given(VALUES)
def test_any_value_there_and_back(value: Any) -> None:
    """Also tables that look like marks, in any depth."""
    there = from_json(json.loads(json.dumps(to_json(value), allow_nan=False)))
    assert (there, repr(there)) == (value, repr(value))


def test_what_is_no_mark() -> None:
    """A text that is not TOML is refused; what has no text is a table like any other."""
    with pytest.raises(ValueError, match="Invalid value"):
        from_json({"$toml": "x"})
    assert from_json({"$toml": 5}) == {"$toml": 5}
