"""One worker process as the run's process sees it."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from typing import Any

from tessy.workers.frames import receive, send

__all__ = ["Process"]

_EXIT = 10.0
"""Seconds that a worker may take to exit once it has said all."""


class Process:
    """A worker process with its end of the socket. Made by `start`."""

    def __init__(
        self, process: subprocess.Popen[bytes], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.pid: int = process.pid
        self.spoken: bool = False
        """Whether it has sent anything: before that there is nothing of it to be kept."""
        self._process = process
        self._reader = reader
        self._writer = writer

    @classmethod
    async def start(cls, order: Any) -> Process:
        """Start one with its order; it reads what is sent to it as soon as it can."""
        ours, theirs = socket.socketpair()
        with theirs:
            path = os.pathsep.join(part for part in sys.path if part)
            # Of the standard library: the loops have no way to hand over a descriptor and see an end of file
            # on it alone.
            process = subprocess.Popen(  # noqa: ASYNC220
                # Safe path: a file in the working directory must not stand in for a module.
                [sys.executable, "-P", "-m", "tessy.workers", str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                env={**os.environ, "PYTHONPATH": path},
                stdin=subprocess.DEVNULL,
                stdout=2,  # standard output is for figures
                start_new_session=True,  # Ctrl-C is the run's process's to hear
            )
        try:
            ours.setblocking(False)
            reader, writer = await asyncio.open_connection(sock=ours)
        except BaseException:
            process.kill()
            process.wait()
            ours.close()
            raise
        send(writer, order)
        return cls(process, reader, writer)

    def deal(self, rows: list[int]) -> None:
        """Give it rows to write."""
        send(self._writer, rows)

    def stop(self) -> None:
        """Tell it to end: to abort its streams, send what is to be kept, and exit."""
        send(self._writer, [])

    async def receive(self) -> Any | None:
        """Its next message; ``None`` when it has died or said all."""
        message = await receive(self._reader)
        self.spoken = self.spoken or message is not None
        return message

    async def end(self) -> str:
        """Kill it if it still runs; how it ended, in words."""
        self._writer.close()
        try:
            code = await asyncio.to_thread(self._process.wait, _EXIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = await asyncio.to_thread(self._process.wait)
        return f"was killed by signal {-code}" if code < 0 else f"exited with code {code}"

    def kill(self) -> None:
        """At once."""
        self._process.kill()
