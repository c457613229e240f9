"""Messages between processes: four bytes of length, then JSON."""

from __future__ import annotations

from asyncio import IncompleteReadError, StreamReader, StreamWriter
from typing import Any

import orjson

__all__ = ["receive", "send"]


def send(writer: StreamWriter, message: Any) -> None:
    """Queue a message; ``drain`` the writer to wait for whoever reads it."""
    data = orjson.dumps(message, default=str)
    writer.write(len(data).to_bytes(4, "big") + data)


async def receive(reader: StreamReader) -> Any | None:
    """The next message; ``None`` when the other side is gone, in the middle of one or not."""
    try:
        size = int.from_bytes(await reader.readexactly(4), "big")
        return orjson.loads(await reader.readexactly(size))
    except (IncompleteReadError, ConnectionError):
        return None
