"""A program of one's own, with the message as JSON on its standard input."""

import json
import os
import signal
import subprocess
from functools import partial
from pathlib import Path

from akjob.config.notify import Channel
from akjob.notify.transports import TRY_S, DeliveryError, Message
from akjob.processes import die_with_parent


def send(channel: Channel, message: Message, root: Path) -> None:
    """Run the program and wait for its end. Raises DeliveryError unless it exits with 0 in time."""
    argv = list(channel.command)
    try:
        done = subprocess.run(
            argv,
            input=json.dumps(dict(message.payload), ensure_ascii=False).encode(),
            capture_output=True,
            cwd=root,
            env=os.environ | {"AKJOB_DELIVERY": message.id, "AKJOB_ROOT": str(root)},
            timeout=TRY_S,
            check=False,
            preexec_fn=partial(die_with_parent, signal.SIGKILL, os.getpid()),
        )
    except subprocess.TimeoutExpired:
        raise DeliveryError(f"{argv[0]} did not end within {TRY_S:.0f} s") from None
    except OSError as error:
        raise DeliveryError(f"{argv[0]} cannot be run: {error.strerror}") from error
    if done.returncode:
        said = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()
        raise DeliveryError(f"{argv[0]} exited with {done.returncode}" + (f": {said[-1]}" if said else ""))
