"""``[notify]``, ``owner`` and ``runbook`` of a job file."""

import pytest

from akjob.config import Config
from akjob.config.notify import Channel
from akjob.config.secrets import SecretFile
from akjob.instants import DAY, HOUR, MINUTE
from akjob.spec import load_definition
from akjob.spec.model import JobSpec, Notify, Ping
from akjob.spec.parse import Defaults, parse_job
from akjob.spec.table import job_table

CONFIG = Config(
    channels={"ops": Channel(command=("page",)), "chat": Channel(command=("say",))},
    notify_defaults={"channels": ["ops"], "lines": 5},
)


def parsed(text: str, *, folder: dict[str, object] | None = None, config: Config = CONFIG) -> JobSpec:
    """Return the job of a file below a folder whose ``_defaults.toml`` has this ``[notify]``."""
    defaults = () if folder is None else (Defaults("jobs.d/_defaults.toml", {"notify": folder}),)
    result = parse_job("a", "jobs.d/a.toml", f'command = "true"\n{text}', defaults=defaults, config=config)
    assert result.spec is not None, result.problems
    return result.spec


def test_a_job_that_says_nothing_has_the_settings_of_the_root() -> None:
    """The settings are the outermost defaults."""
    assert parsed("").notify == Notify(channels=("ops",), lines=5)


def test_the_nearest_wins_key_by_key() -> None:
    """File, then the folder's defaults, then the settings; a value is taken whole."""
    spec = parsed('[notify]\nchannels = ["chat"]\n', folder={"lines": 7, "after": 3})
    assert spec.notify == Notify(channels=("chat",), lines=7, after=3)
    assert parsed("[notify]\nchannels = []\n").notify.channels == ()


def test_every_key_is_read_and_written_back() -> None:
    """What the definition keeps and what a table is written from read back as the same."""
    spec = parsed(
        'owner = "the data team"\nrunbook = "https://example.org/a"\n[notify]\nchannels = ["ops", "chat"]\n'
        'on = ["failed", "timed_out"]\nafter = 2\nlate_after = "5m"\nlong_after = "2h"\nrepeat = "none"\nlines = 0\n'
        'ping = { url = { file = "/run/secrets/ping" }, style = "cronitor" }\n'
    )
    assert spec.owner == "the data team"
    assert spec.runbook == "https://example.org/a"
    assert spec.notify == Notify(
        channels=("ops", "chat"),
        on=frozenset({"failed", "timed_out"}),
        after=2,
        late_after_us=5 * MINUTE,
        long_after_us=2 * HOUR,
        repeat_us=None,
        lines=0,
        ping=Ping(url=SecretFile("/run/secrets/ping"), style="cronitor"),
    )
    assert load_definition("a", "jobs.d/a.toml", spec.definition).notify == spec.notify
    table = job_table(spec)
    assert table["notify"]["on"] == ["failed", "timed_out"]
    assert table["notify"]["ping"] == {"url": {"file": "/run/secrets/ping"}, "style": "cronitor"}
    assert table["owner"] == "the data team"


def test_the_words_of_the_defaults() -> None:
    """``auto`` and ``24h`` are what leaving the keys out means."""
    spec = parsed('[notify]\nlong_after = "auto"\nrepeat = "24h"\nping = "https://hc.example.org/x"\n')
    assert spec.notify.long_after_us is None
    assert spec.notify.repeat_us == DAY
    assert spec.notify.ping == Ping(url="https://hc.example.org/x")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('[notify]\nchannels = ["opps"]\n', "3:13 unknown-channel notify.channels[0]"),
        ('[notify]\non = ["failure"]\n', "3:7 bad-value notify.on[0]"),
        ("[notify]\nafter = 0\n", "3:9 out-of-range notify.after"),
        ('[notify]\nlong_after = "soon"\n', "3:14 bad-duration notify.long_after"),
        ("[notify]\nlines = -1\n", "3:9 out-of-range notify.lines"),
        ('[notify]\nping = "hc.example.org"\n', "3:8 bad-value notify.ping"),
        ('[notify]\nping = { style = "url" }\n', "3:8 missing-key notify.ping"),
        ('[notify]\nchanels = ["ops"]\n', "3:1 unknown-key notify.chanels"),
        ('runbook = "wiki"\n', "2:11 bad-value runbook"),
        ('owner = ""\n', "2:9 empty-text owner"),
    ],
)
def test_what_is_wrong_is_said_where_it_stands(text: str, found: str) -> None:
    """A mistake has a position, a code and a hint, and makes the job broken."""
    result = parse_job("a", "jobs.d/a.toml", f'command = "true"\n{text}', config=CONFIG)
    assert result.spec is None
    assert [f"{one.line}:{one.column} {one.code} {one.key}" for one in result.problems] == [found]
    assert all(one.hint for one in result.problems)


def test_a_channel_that_only_the_settings_name_wrongly_breaks_their_jobs() -> None:
    """The mistake is told where it stands, in etc/akjob.toml."""
    config = Config(notify_defaults={"channels": ["ops"]}, text='[notify]\nchannels = ["ops"]\n')
    result = parse_job("a", "jobs.d/a.toml", 'command = "true"\n', config=config)
    assert result.spec is None
    (problem,) = result.problems
    assert (problem.file, problem.line, problem.code) == ("etc/akjob.toml", 2, "unknown-channel")
