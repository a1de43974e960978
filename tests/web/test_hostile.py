"""Text that tries to be code in each field that a job, a file, a person or git can fill, looked at in Chromium."""

import os
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Dialog

from tests.roots import Place
from tests.web.conftest import CHROMIUM, XSS, quoted, served, toml

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not there: apt-get install chromium"),
]

SCRIPT, IMAGE, LINK, CLOSING, BRACES, ESCAPE = XSS
FUNCTION = f'''
import json
import logging
import akjob


def main(region: str = {IMAGE!r}, kind: "{CLOSING}" = 1, **more):
    """{SCRIPT} {CLOSING}

    :param region: {SCRIPT}
    """
    akjob.current_run().progress(1, 2, {IMAGE!r})
    akjob.current_run().log.warning({SCRIPT!r}, note={IMAGE!r})
    logging.getLogger({CLOSING!r}).error({IMAGE!r})
    print(json.dumps({{"message": {SCRIPT!r}, "note": {IMAGE!r}}}))
    if region == "return":
        return {SCRIPT!r}
    raise ValueError({IMAGE!r} + {CLOSING!r})
'''


def write(place: Place) -> None:
    """Write jobs with hostile fields, a broken one among them, and commit them with a hostile subject and author."""
    (place.paths.root / "hostile.py").write_text(FUNCTION)
    head = f"description = {toml(SCRIPT)}\ntags = [{toml(IMAGE)}, {toml(CLOSING)}]\nowner = {toml(IMAGE)}\n"
    place.job("fails", head + 'callable = "hostile:main"\n')
    place.job(
        "returns", f'callable = "hostile:main"\nkwargs = {{ region = "return", {toml(BRACES)} = {toml(IMAGE)} }}\n'
    )
    place.job("prints", f"command = {toml(f'echo {quoted(SCRIPT)}; echo {quoted(IMAGE)} >&2; exit 3')}\n")
    place.job("links", f'command = "true"\nrunbook = {toml(LINK)}\n')
    place.job("wrong", f'command = "true"\n{toml(IMAGE)} = {toml(SCRIPT)}\n')
    who = {"GIT_AUTHOR_NAME": IMAGE, "GIT_AUTHOR_EMAIL": "a@example.org", "GIT_COMMITTER_NAME": SCRIPT,
           "GIT_COMMITTER_EMAIL": "a@example.org"}  # fmt: skip
    for arguments in (("add", "-A"), ("commit", "-q", "-m", SCRIPT + IMAGE)):
        subprocess.run(["git", *arguments], cwd=place.paths.root, check=True, env={**os.environ, **who})


def looked_at(runs: list[str]) -> list[str]:
    """Return the pages that show these fields."""
    jobs = ("fails", "returns", "prints", "links", "wrong")
    return [
        *("/", "/?folder=", "/runs", "/timeline", "/timeline?view=table", "/plan", "/broken", "/messages", "/system"),
        *("/tv", "/backfills", "/bulk?do=pause&job=fails", "/why?job=fails"),
        *(f"/?q={IMAGE}", f"/?q=tag:{CLOSING}", f"/why?job={SCRIPT}", f"/jobs/{SCRIPT}"),
        *(f"/backfills?job={IMAGE}&from={SCRIPT}&until=0s", f"/timeline?zone={SCRIPT}", f"/runs?since={IMAGE}"),
        *(f"/jobs/{job}" for job in jobs),
        *(f"/definition/{job}" for job in jobs),
        *(f"/runs/{one}" for one in runs),
        *(f"/runs/{one}?grep=script" for one in runs),
        f"/runs/{runs[0]}/lines?from=1&to=99",
    ]


def test_no_field_becomes_code(tmp_path: Path) -> None:
    """No dialog, no report of the policy, no link that is a script; what is hostile is there to be read."""
    with served(tmp_path, write) as site:
        page = site.page()
        said: list[str] = []

        def dismiss(dialog: Dialog) -> None:
            said.append(dialog.message)
            dialog.dismiss()

        page.on("dialog", dismiss)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        for job in ("fails", "returns", "prints"):
            site.place.wait(site.place.run(job))
        page.goto(f"{site.url}/jobs/prints")
        page.get_by_role("link", name="Pause …").click()
        page.fill("#reason", SCRIPT + IMAGE)
        page.get_by_role("button", name="Pause", exact=True).click()
        runs = [site.newest(job) for job in ("fails", "returns", "prints")]
        texts = {}
        for path in looked_at(runs):
            page.goto(site.url + path)
            texts[path] = page.locator("body").inner_text()
            assert page.locator('a[href^="javascript:"], img, [onerror], [onload]').count() == 0, path
        assert [one for one in said if "status of 4" not in one] == []
        assert SCRIPT in texts["/jobs/fails"]  # its description, and the subject of its commit
        assert IMAGE in texts["/jobs/fails"]  # its owner
        assert SCRIPT in texts["/jobs/prints"]  # the reason of its pause
        assert IMAGE in texts["/broken"]
        assert SCRIPT in texts["/system"]  # in the audit
        assert IMAGE + CLOSING in texts[f"/runs/{runs[0]}"]  # its error
        assert SCRIPT in texts[f"/runs/{runs[1]}"]  # its result
        assert SCRIPT in texts[f"/runs/{runs[2]}"]
        page.context.close()
