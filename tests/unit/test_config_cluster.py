"""``[pools]`` and ``[cluster]`` in etc/akjob.toml."""

from pathlib import Path

import pytest

from akjob.config import Config, load_config
from akjob.config.cluster import ClusterConfig
from akjob.config.secrets import SecretFile
from akjob.instants import SECOND


def read(folder: Path, text: str) -> tuple[Config, list[str]]:
    """Return the settings, and where what is wrong with them."""
    file = folder / "akjob.toml"
    file.write_text(text)
    config, problems = load_config(file)
    return config, [f"{one.line}:{one.column} {one.code} {one.key}: {one.message}; {one.hint}" for one in problems]


def test_pools_and_cluster_are_read(tmp_path: Path) -> None:
    """Every key, and what is left out has its default."""
    text = """
[pools]
db = 3
"big disk" = 1
[cluster]
url = { file = "/run/secrets/akjob-db" }
node = "b2"
tags = ["gpu"]
slots = 8
lease = "30s"
rollout_grace = "0s"
"""
    config, problems = read(tmp_path, text)
    assert problems == []
    assert config.pools == {"db": 3, "big disk": 1}
    assert config.cluster == ClusterConfig(
        url=SecretFile("/run/secrets/akjob-db"),
        node="b2",
        tags=("gpu",),
        slots=8,
        lease_us=30 * SECOND,
        rollout_grace_us=0,
    )
    config, problems = read(tmp_path, '[cluster]\nurl = "postgresql://akjob@db/akjob"\n')
    assert problems == []
    assert config.cluster == ClusterConfig(url="postgresql://akjob@db/akjob")
    assert read(tmp_path, "")[0].cluster is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[pools]\ndb = 0\n", "2:6 out-of-range pools.db"),
        ('[pools]\ndb = "3"\n', "2:6 wrong-type pools.db"),
        ("[pools.db]\nsize = 3\n", "write db = 3 below [pools]"),
        ("pools = 3\n", "1:9 wrong-type pools"),
        ('[cluster]\nnode = "a"\n', "1:1 missing-key cluster"),
        ('[cluster]\nurl = "mysql://h/d"\n', "2:7 bad-value cluster.url"),
        ('[cluster]\nurl = "postgresql://u:secret@h/d"\n', "2:7 secret-in-file cluster.url"),
        ('[cluster]\nurl = "postgresql://h/d"\nnode = "a b"\n', "3:8 bad-value cluster.node"),
        ('[cluster]\nurl = "postgresql://h/d"\nlease = "1s"\n', "must be at least 4s"),
        ('[cluster]\nurl = "postgresql://h/d"\nlease = 20\n', 'write "20s"'),
        ('[cluster]\nurl = "postgresql://h/d"\ntag = ["a"]\n', "did you mean `tags`?"),
    ],
)
def test_what_is_wrong_is_explained(tmp_path: Path, text: str, said: str) -> None:
    """One problem, at its place, with what to write."""
    _, [problem] = read(tmp_path, text)
    assert said in problem
