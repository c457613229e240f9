"""Signals while the program waits for a thread that nothing can stop."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

PROGRAM = """
import asyncio, time
from tessy.cli.interrupts import run

async def main():
    print("begun", flush=True)
    await asyncio.to_thread(time.sleep, 60)

run(main)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_the_wait_for_a_thread(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.send_signal(number)
        while "again to stop at once" not in process.stderr.readline():
            assert process.poll() is None
        time.sleep(0.2)  # the coroutine is cancelled, the loop waits for its threads
        process.send_signal(number)
        try:
            _, err = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "Traceback" not in err
