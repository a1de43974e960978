"""A job's process: what it logs, warns and fails with arrives structured, and its own logging stays its own."""

import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import msgspec
import pytest

from akjob.log.line.wrap import wrap

PREFIX = b'"source":"job","job":"a/b","run":"r1","seq":1'
SITE = str(Path(msgspec.__file__).parent.parent)
ROOT = str(Path(__file__).parents[2])


class Done:
    """What a job left: its messages as lines of the log, its output, its exit status."""

    def __init__(self, lines: list[dict[str, Any]], stdout: str, stderr: str, code: int) -> None:
        self.lines = lines
        self.stdout = stdout
        self.stderr = stderr
        self.code = code

    def said(self) -> list[tuple[str, str, str | None]]:
        """Return level, event and logger of each message."""
        return [(line["level"], line["event"], line.get("logger")) for line in self.lines]


def run(code: str) -> Done:
    """Run code as a job's process does: a bare Python, set up, then the code."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    set_up = f"""
        import sys
        sys.path[:0] = [{ROOT!r}]
        from akjob.log.job import hooks
        names = {{
            "AKJOB_JOB": "a/b", "AKJOB_RUN": "r1", "AKJOB_SLOT": "2026-03-29T01:00:00.000000Z", "AKJOB_ATTEMPT": "2"
        }}
        hooks.install()
        hooks.begin({theirs.fileno()}, names)
        sys.path.append({SITE!r})
    """
    whole = textwrap.dedent(set_up) + textwrap.dedent(code)
    arguments = [sys.executable, "-I", "-S", "-c", whole]
    with ours, TemporaryFile("w+") as stdout, TemporaryFile("w+") as stderr:
        ours.settimeout(20)
        with theirs:
            process = subprocess.Popen(arguments, pass_fds=[theirs.fileno()], stdout=stdout, stderr=stderr)
        lines = []
        while message := ours.recv(1 << 20):
            wrapped = wrap(message, PREFIX)
            assert wrapped is not None, message
            lines.append(msgspec.json.decode(wrapped))
        process.wait(20)
        stdout.seek(0)
        stderr.seek(0)
        return Done(lines, stdout.read(), stderr.read(), process.returncode)


def test_nothing_is_imported_for_a_job_that_does_not_log() -> None:
    """The set-up loads a handful of small modules, none of them logging, structlog, json, re, typing or datetime."""
    done = run("print(*sorted(set(sys.modules)))")
    heavy = {
        "logging",
        "structlog",
        "json",
        "re",
        "typing",
        "datetime",
        "traceback",
        "msgspec",
        "dataclasses",
        "warnings",
    }
    assert not heavy & set(done.stdout.split())


def test_logging() -> None:
    """Records from INFO on arrive with logger and extras, a traceback as a field; DEBUG does not; nothing on stderr."""
    done = run("""
        import logging
        log = logging.getLogger("my.module")
        log.debug("no")
        log.info("sent %d mails", 3, extra={"to": "x", "seq": 99})
        logging.warning("careful")
        try:
            1 / 0
        except ZeroDivisionError:
            log.exception("failed")
        log.info("bad %d arguments", "no number")
        log.log(45, "between")
    """)
    assert done.said() == [
        ("info", "sent 3 mails", "my.module"),
        ("warning", "careful", "root"),
        ("error", "failed", "my.module"),
        ("info", done.lines[3]["event"], "my.module"),
        ("error", "between", "my.module"),
    ]
    assert "arguments do not fit" in done.lines[3]["event"]
    assert (done.lines[0]["to"], done.lines[0]["seq"], done.lines[0]["seq_"]) == ("x", 1, 99)
    assert done.lines[2]["exception"]["type"] == "ZeroDivisionError"
    assert done.stderr == ""


def test_libraries_with_a_null_handler_are_heard() -> None:
    """A library that adds a NullHandler, as it should, does not hide its records."""
    done = run("""
        import logging
        logging.getLogger("lib").addHandler(logging.NullHandler())
        logging.getLogger("lib.part").info("hello")
    """)
    assert done.said() == [("info", "hello", "lib.part")]


OWN_LOGGING = [
    "logging.basicConfig()",
    "logging.getLogger().addHandler(logging.StreamHandler())",
    'logging.getLogger("x").addHandler(logging.StreamHandler())',
    (
        "import logging.config; "
        'handlers = {"h": {"class": "logging.StreamHandler"}}; '
        'logging.config.dictConfig({"version": 1, "handlers": handlers, "root": {"handlers": ["h"]}})'
    ),
]


@pytest.mark.parametrize("own", OWN_LOGGING)
def test_a_job_with_its_own_logging_keeps_it(own: str) -> None:
    """With a handler of its own a job logs as it would without akjob: same records, same levels, nothing twice."""
    code = f"""
        import logging
        {own}
        logging.getLogger("x").info("info")
        logging.getLogger("x").warning("warning")
    """
    done = run(code)
    plain = subprocess.run(
        [sys.executable, "-I", "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert done.stderr == plain.stderr
    assert "warning" in done.stderr
    assert done.lines == []


def test_a_level_that_the_job_set_stays() -> None:
    """A root level set before the first handler is not taken back."""
    done = run("""
        import logging
        logging.getLogger().setLevel(logging.INFO)
        logging.getLogger().addHandler(logging.StreamHandler())
        logging.info("shown")
    """)
    assert (done.stderr, done.lines) == ("shown\n", [])


def test_debug_when_the_job_asks_for_nothing_but_levels() -> None:
    """A level without a handler is not a configuration: records go on arriving, from INFO on."""
    done = run("""
        import logging
        logging.getLogger().setLevel(logging.ERROR)
        logging.info("no")
        logging.error("yes")
    """)
    assert done.said() == [("error", "yes", "root")]


def test_structlog() -> None:
    """structlog's loggers write structured lines without any configuration: fields, context, exceptions, names."""
    done = run("""
        import structlog
        log = structlog.get_logger("mine").bind(user=7)
        structlog.contextvars.bind_contextvars(request="q")
        log.info("sent", mails=3, run="evil", path={1, })
        try:
            raise ValueError("no")
        except ValueError:
            log.exception("failed")
        structlog.get_logger().debug("detail")
        print(structlog.is_configured())
    """)
    assert done.said() == [("info", "sent", "mine"), ("error", "failed", "mine"), ("debug", "detail", None)]
    first = done.lines[0]
    assert (first["user"], first["request"], first["mails"], first["run"], first["run_"]) == (7, "q", 3, "r1", "evil")
    assert done.lines[1]["exception"]["message"] == "no"
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_reserved_names_are_put_aside() -> None:
    """Level, logger, exception and stack are akjob's; a field that a job gives such a name keeps its value."""
    done = run("""
        import logging, structlog
        log = structlog.get_logger("mine")
        log.info("one", level="error", logger="other")
        log.warning("two", level="warning", logger="mine")
        try:
            raise ValueError("no")
        except ValueError:
            log.exception("three", exception="own")
            logging.getLogger("x").exception("four", extra={"exception": "own", "exception_": "too"})
        logging.getLogger("x").info("five", extra={"stack": "own"}, stack_info=True)
    """)
    one, two, three, four, five = done.lines
    assert (one["level"], one["logger"], one["level_"], one["logger_"]) == ("info", "mine", "error", "other")
    assert (two["level"], two["logger"], "level_" in two, "logger_" in two) == ("warning", "mine", False, False)
    assert (three["exception"]["message"], three["exception_"]) == ("no", "own")
    assert (four["exception"]["message"], four["exception_"], four["exception__"]) == ("no", "too", "own")
    assert five["stack"].startswith("Stack (most recent call last)")
    assert five["stack_"] == "own"


@pytest.mark.parametrize("configure", ["configure", "configure_once"])
def test_a_job_that_configures_structlog_keeps_it(configure: str) -> None:
    """The job's configuration replaces ours, without a warning."""
    done = run(f"""
        import structlog
        processors = [structlog.processors.LogfmtRenderer()]
        structlog.{configure}(processors=processors, logger_factory=structlog.PrintLoggerFactory())
        structlog.get_logger().info("mine")
    """)
    assert (done.stdout, done.stderr, done.lines) == ("event=mine\n", "", [])


def test_warnings() -> None:
    """A warning is a line; one that the job catches or turns into an error is not."""
    done = run("""
        import warnings
        warnings.warn("old", DeprecationWarning)
        warnings.warn("careful")
        with warnings.catch_warnings(record=True) as caught:
            warnings.warn("caught")
        print(len(caught))
    """)
    assert [(each["level"], each["event"], each["category"]) for each in done.lines] == [
        ("warning", "old", "DeprecationWarning"),
        ("warning", "careful", "UserWarning"),
    ]
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_uncaught_exceptions() -> None:
    """What nobody caught is one structured line, in any thread and in ``__del__``; SystemExit is none."""
    done = run("""
        import threading

        class Bad:
            def __del__(self):
                raise KeyError("gone")

        def fail():
            raise ValueError("in a thread")

        thread = threading.Thread(target=fail, name="worker")
        thread.start()
        thread.join()
        Bad()
        threading.Thread(target=sys.exit).start()
        raise RuntimeError("the end")
    """)
    found = [(each["event"], each["exception"]["type"], each["exception"]["message"]) for each in done.lines]
    assert found[0] == ("uncaught exception", "ValueError", "in a thread")
    assert found[1][1:] == ("KeyError", "'gone'")
    assert found[-1] == ("uncaught exception", "RuntimeError", "the end")
    assert done.lines[0]["thread"] == "worker"
    assert (len(done.lines), done.stderr, done.code) == (3, "", 1)


def test_current_run() -> None:
    """The run knows itself; progress and its log are lines without structlog or logging."""
    done = run("""
        from akjob.log.job.current import current_run
        me = current_run()
        print(me.job, me.run, me.attempt, me.slot.isoformat())
        me.progress(3, 10, "third")
        me.log.bind(a=1).warning("noted", b=2)
        try:
            [][0]
        except IndexError:
            me.log.exception("oops")
        print("structlog" in sys.modules, "logging" in sys.modules)
    """)
    assert done.stdout == "a/b r1 2 2026-03-29T01:00:00+00:00\nFalse False\n"
    progress, noted, oops = done.lines
    assert (progress["event"], progress["done"], progress["total"], progress["message"]) == (
        "run.progress",
        3,
        10,
        "third",
    )
    assert (noted["level"], noted["a"], noted["b"]) == ("warning", 1, 2)
    assert oops["exception"]["type"] == "IndexError"


def test_outside_of_a_run() -> None:
    """Where there is no run, asking for it says what to do."""
    code = "from akjob.log.job.current import current_run; current_run()"
    environment = {name: text for name, text in os.environ.items() if not name.startswith("AKJOB_")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "start it with `akjob run JOB`" in done.stderr


def test_a_program_that_a_job_starts_knows_its_run_by_the_environment() -> None:
    """Without a way to the shim, a run's program can still ask who it is; what it logs goes to standard error."""
    code = "from akjob.log.job.current import current_run as c; print(c().job, c().attempt); c().progress(1)"
    environment = dict(
        os.environ, AKJOB_JOB="a/b", AKJOB_RUN="r1", AKJOB_ATTEMPT="3", AKJOB_SLOT="2026-03-29T01:00:00.000000Z"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "a/b 3\n"
    assert msgspec.json.decode(done.stderr)["event"] == "run.progress"


def test_threads_and_forks_do_not_mix_their_lines() -> None:
    """Four forks with four threads each write long messages at once: every one arrives whole."""
    done = run("""
        import os, threading
        from akjob.log.job.current import current_run
        log = current_run().log

        def talk(who):
            for n in range(25):
                log.info("talk", who=who, n=n, text=str(who) * 20_000)

        children = []
        for child in range(4):
            pid = os.fork()
            if not pid:
                threads = [threading.Thread(target=talk, args=(child * 4 + t,)) for t in range(4)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                os._exit(0)
            children.append(pid)
        for pid in children:
            os.waitpid(pid, 0)
    """)
    assert sorted((each["who"], each["n"]) for each in done.lines) == [(who, n) for who in range(16) for n in range(25)]
    assert all(each["text"] == str(each["who"]) * 20_000 for each in done.lines)


def test_a_job_that_closes_our_descriptor_hurts_nobody() -> None:
    """After a job closed all descriptors and opened its own, its lines go to standard error, not into its files."""
    done = run("""
        import os, logging, tempfile
        os.closerange(3, 100)
        fds = [os.open(tempfile.gettempdir(), os.O_RDONLY) for _ in range(30)]
        logging.error("still said")
    """)
    assert done.lines == []
    assert msgspec.json.decode(done.stderr)["event"] == "still said"


def test_a_message_that_is_too_long_is_cut() -> None:
    """A message is one datagram: what exceeds it is cut and says so."""
    done = run("""
        import logging
        logging.error("x" * 1_000_000, extra={"more": list(range(100_000))})
        logging.error("short")
    """)
    assert done.lines[0]["truncated"] is True
    assert done.lines[0]["event"].startswith("xxx")
    assert done.lines[1]["event"] == "short"
