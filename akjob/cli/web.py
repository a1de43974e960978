"""``akjob web``: the URL to log in with."""

import click

from akjob.cli import complain
from akjob.cli.common import examples, find_paths, now_us, settings
from akjob.config import Config, Paths
from akjob.config.web import base_url
from akjob.control import presence
from akjob.errors import AkjobError
from akjob.query.names import user_name
from akjob.web.store import WebStore
from akjob.web.urls import login_url


@click.command(name="web", epilog=examples("akjob web", "akjob web --open"))
@click.option("--open", "opened", is_flag=True, help="Open it in the browser of this machine, too.")
def command(*, opened: bool) -> None:
    """Print a URL that logs a browser in: good for ten minutes and one login.

    It works while akjob-web is down, too; then it is of use once that is up.
    """
    paths = find_paths()
    config = settings(paths)
    url = new_login_url(paths, config)
    click.echo(url)
    if base_url(config.web) is None:
        _explain_socket(paths, config, url)
        return
    warn(paths)
    if opened:
        click.launch(url)


def new_login_url(paths: Paths, config: Config) -> str:
    """Return a URL with a new code. Raises AkjobError where the page is off."""
    if not config.web.enabled:
        raise AkjobError("the page is off in this root", hint="Set enabled = true in [web] of etc/akjob.toml.")
    with WebStore.open(paths.web_db) as store:
        return login_url(config.web, store.create_code(user_name(), now_us()))


def warn(paths: Paths) -> None:
    """Return what keeps akjob-web from serving, if anything does."""
    found = presence.read(paths)
    if found is None:
        complain("akjob-web is not running, so the URL is of no use yet", "Start it with `akjob up`.")
    elif found.trouble:
        complain(f"akjob-web: {found.trouble}")


def _explain_socket(paths: Paths, config: Config, url: str) -> None:
    """Return how to reach a page that listens on a Unix socket only."""
    socket = paths.root / next(address.path for address in config.web.listen if address.path)
    complain(
        f"akjob-web listens on the Unix socket {socket}, so this is only the path of the URL",
        "Open it at the address of the proxy in front of it (public_url of [web] makes the URL whole),\n"
        f"or forward a port: ssh -L 8470:{socket} HOST, and open http://127.0.0.1:8470{url}",
    )
