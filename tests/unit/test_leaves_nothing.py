"""The fixture that every test runs under, itself put to the test."""

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

CONFTEST = Path(__file__).parents[1] / "conftest.py"

SUITE = """
    import os, subprocess, threading, pytest

    kept = []

    def test_child():
        kept.append(subprocess.Popen(["sleep", "60"]))

    @pytest.mark.process
    def test_orphan():
        subprocess.run("setsid sleep 60 </dev/null >/dev/null 2>&1 &", shell=True)

    def test_thread():
        threading.Thread(target=threading.Event().wait, daemon=True, name="idle").start()

    def test_descriptor():
        os.open("/dev/null", os.O_RDONLY)

    @pytest.mark.process
    def test_clears_up():
        subprocess.run(["true"])
        thread = threading.Thread(target=int)
        thread.start()
        os.close(os.open("/dev/null", os.O_RDONLY))
"""


def test_what_a_test_leaves_fails_it(pytester: pytest.Pytester) -> None:
    """A child, an orphan, a thread or a descriptor that stays makes the test an error; nothing else does."""
    pytester.makeconftest(CONFTEST.read_text().replace("_GRACE_S = 3.0", "_GRACE_S = 0.2"))
    pytester.makeini("[pytest]\nmarkers =\n    process: x\n    system: x\n")
    pytester.makepyfile(SUITE)
    run = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:randomly", "-W", "ignore", "-rE")
    run.assert_outcomes(passed=5, errors=4)
    run.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_child*",
            "left behind: process *: sleep 60",
            "*ERROR at teardown of test_orphan*",
            "left behind: process *: sleep 60",
            "*ERROR at teardown of test_thread*",
            "left behind: thread idle",
            "*ERROR at teardown of test_descriptor*",
            "left behind: descriptor *: /dev/null",
        ]
    )
