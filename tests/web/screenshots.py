"""``make screenshots``: every page in both themes at 1600, 1024 and 390 px, of a root that has run a while."""

import sys
import tempfile
from pathlib import Path

from tests.roots import Place
from tests.support import until
from tests.web.conftest import Site, served

PAGES = {
    "jobs": "/",
    "job": "/jobs/reports/sales",
    "runs": "/runs",
    "timeline": "/timeline?span=15+min",
    "plan": "/plan",
    "simulation": "/plan?simulate=1&until=2h&down=30m..50m&fail=backup/files&machines=2",
    "backfills": "/backfills?job=reports/sales&from=1h&until=0s&only=all",
    "why": "/why?job=reports/sales",
    "broken": "/broken",
    "messages": "/messages",
    "system": "/system",
    "tv": "/tv",
}
WIDTHS = (1600, 1024, 390)
SLOTS = 24
REPORT = """for region in emea apac latam; do echo "fetching $region"; done
printf '\\\\033[33mwarning:\\\\033[0m 3 rows without a currency\\\\n' >&2
echo "KeyError: 'emea'" >&2; exit 1
"""
TEXTS = {
    "reports/sales": f'description = "Mail the sales report"\ntags = ["reports", "mail"]\nowner = "the data team"\n'
    f'runbook = "https://example.org/runbooks/sales"\ncommand = """\n{REPORT}"""\n[schedule]\nevery = "2s"\n'
    "[limits]\nruns = 6\n",
    "reports/stock": 'description = "Count what is in stock"\ntags = ["reports"]\n'
    'command = "sleep 0.2; echo 412 articles"\n[schedule]\nevery = "1s"\n',
    "backup/database": 'description = "Dump the database"\ntags = ["db", "backup"]\n'
    'command = "sleep 3; echo done"\n[schedule]\nevery = "2s"\n[run]\nlock = "db"\n',
    "backup/files": 'tags = ["backup"]\ncommand = "sleep $(($(date +%s) % 3)); echo 1204 files"\n'
    '[schedule]\nevery = "3s"\n',
    "mail/queue": 'description = "Send what waits"\ncommand = "true"\n[schedule]\nevery = "1s"\n',
    "certificates": 'description = "Renew what expires"\ncommand = "true"\n'
    '[schedule]\ntimezone = "Europe/Berlin"\ndaily = 03:30:00\n',
    "month-end": 'description = "Close the books"\ncommand = "true"\n'
    "[schedule]\nmonthly = { days = [-1], at = 22:00:00 }\n",
    "invoices": 'command = "true"\n[schedule]\ndialy = 06:00:00\n',
}


def write_jobs(place: Place) -> None:
    """Write the jobs of the pictures."""
    for name, text in TEXTS.items():
        (place.paths.jobs_d / name).parent.mkdir(parents=True, exist_ok=True)
        place.job(name, text)


def take(site: Site, folder: Path) -> None:
    """Take every picture."""
    paths = {**PAGES, "run": f"/runs/{site.newest('reports/sales')}"}
    for theme in ("light", "dark"):
        for width in WIDTHS:
            page = site.page(width=width, theme=theme)
            for name, path in paths.items():
                page.goto(site.url + path)
                page.locator("#live").wait_for(state="attached")
                page.screenshot(path=folder / f"{name}-{theme}-{width}.png")
            page.context.close()


def main() -> None:
    """Take the pictures into the folder that is named."""
    folder = Path(sys.argv[1]).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="akjob-") as scratch:
        root = Path(scratch) / "jobs"
        root.mkdir()
        with served(root, write_jobs) as site:
            until(lambda: len(site.place.sql("SELECT id FROM runs WHERE job = 'mail/queue'")) >= SLOTS, deadline=120)
            take(site, folder)
    print(f"{len(list(folder.glob('*.png')))} pictures in {folder}")  # noqa: T201


if __name__ == "__main__":
    main()
