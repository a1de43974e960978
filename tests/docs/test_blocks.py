"""Every code block of README and docs/ does what its page says; docs/README.md has the convention."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests import postgres
from tests.docs.blocks import ROOT, Reader, blocks, blocks_of, free_ports, listing, needs, needs_database, pages

pytestmark = pytest.mark.process
PAGES = [page for page in pages() if blocks(page)]


@pytest.fixture
def reader(request: pytest.FixtureRequest) -> Iterator[Reader]:
    """Yield a reader in a fresh root, whose path is short enough for a socket; with a database where the page needs it.

    To the reader every host is that of the database.
    """
    page = request.node.callspec.params.get("page")
    with ExitStack() as stack:
        environment = {}
        if page is not None and needs_database(page):
            (port,) = free_ports(1)
            options = f"{postgres.FAST} -c listen_addresses=127.0.0.1 -c port={port}"
            stack.enter_context(postgres.running(options, "postgres"))
            environment = {"PGHOSTADDR": "127.0.0.1", "PGPORT": str(port)}
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="akjob-docs-", ignore_cleanup_errors=True))
        someone = Reader(Path(folder) / "jobs", **environment)
        try:
            yield someone
        finally:
            someone.leave()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_blocks_of_a_page_do_what_it_says(page: Path, reader: Reader) -> None:
    """One after another, in one root."""
    missing = needs(page)
    if missing:
        pytest.skip(f"not there: {', '.join(missing)}")
    for block in blocks(page):
        assert reader.follow(block) == []


def test_a_block_that_is_not_run_says_why() -> None:
    """And whatever is a shell's or a job file's is run, unless a reason stands before it."""
    every = [block for page in PAGES for block in blocks(page)]
    assert [str(block) for block in every if block.not_run and len(block.not_run) < len("needs x")] == []
    assert len(list(listing())) == len([block for block in every if not block.hidden]) > 0
    unknown = [str(block) for block in every if block.action == "shown" and block.language != "text"]
    assert unknown == [], "write sh, console, toml, … or a reason"


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("```sh\ntrue\nfalse\ntrue\n```\n", "exit code 1"),
        ("```sh\nA=1\n```\n```console\n$ echo $A\n1\n```\n", ""),
        ("```console\n$ echo one; echo two\none\n…\n```\n", ""),
        ("```console\n$ echo 12:30\n…:30\n```\n", ""),
        ("```console\n$ echo one\ntwo\n```\n", "printed"),
        ("```console\n$ false\n```\n", "exit code 1"),
        ('```toml\n[schedule]\nevery = "5m"\n```\n', ""),
        ('```toml\n[schedule]\nevry = "5m"\n```\n', "unknown-key"),
        ('<!-- broken: unknown-key -->\n```toml\n[schedule]\nevry = "5m"\n```\n', ""),
        ("<!-- broken: unknown-key -->\n```toml\n[schedule]\ndaily = 02:30:00\n```\n", "is to be refused"),
        (
            '```toml\n# jobs.d/a.toml\ncommand = "no-such-program"\n```\n```sh\ngrep -q no-such jobs.d/a.toml\n```\n',
            "",
        ),
        ("```toml\n# etc/akjob.toml\n[log]\nkep = 1\n```\n", "unknown-key"),
        ("<!-- not run: needs the moon -->\n```sh\nfalse\n```\n", ""),
        ("<!-- run\necho 1 > seen\n-->\n```sh\ntest -e seen\n```\n", ""),
        ("   ```sh\n   cat > x <<'E'\n   y\n   E\n   test $(cat x) = y\n   ```\n", ""),
        ("```json\n{1}\n```\n", "Expecting"),
        ("```python\ndef (:\n```\n", "invalid syntax"),
    ],
)
def test_a_reader_notices(text: str, wrong: str, reader: Reader) -> None:
    """What is right passes, what is wrong is named."""
    found = [one for block in blocks_of(text, "a page") for one in reader.follow(block)]
    assert len(found) == (1 if wrong else 0), found
    assert wrong in "".join(found)
