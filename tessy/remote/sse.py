"""Server-sent events, read in bulk: whatever has arrived is taken apart in one go.

Comments, keep-alives and unknown fields are skipped, as the standard says (WHATWG HTML, section 9.2); an
event of several data lines, which no model server sends, is not put together.
"""

from __future__ import annotations

from typing import Any

import orjson

from tessy.errors import BackendRejected
from tessy.remote.sizes import LONGEST_LINE

__all__ = ["EventBuffer"]


_MARK = b"\xef\xbb\xbf"
"""May begin a stream (a byte order mark), and says nothing."""


class EventBuffer:
    """Bytes in, JSON events out.

    Attributes:
        done: the server has said ``[DONE]``.
        error: what followed the events that were given out last is not JSON.
    """

    def __init__(self) -> None:
        self.done: bool = False
        self.error: ValueError | None = None
        self._rest = b""
        self._begun = False

    def feed(self, data: bytes) -> list[Any]:
        """The events that are complete now, up to the first that is not JSON.

        Raises:
            BackendRejected: a line does not end.
        """
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            raise BackendRejected(f"the server sent a line of more than {LONGEST_LINE >> 20} MiB")
        if lines and not self._begun:
            self._begun = True
            lines[0] = lines[0].removeprefix(_MARK)
        events = []
        for line in lines:
            if not line.startswith(b"data:"):
                continue
            text = line[5:].strip()
            if text == b"[DONE]":
                self.done = True
            elif text:
                try:
                    events.append(orjson.loads(text))
                except ValueError as error:
                    self.error = error
                    break
        return events

    def end(self) -> list[Any]:
        """The server has closed the stream: an event that lacks no more than its line's end is one."""
        events = self.feed(b"\n")
        self.error = None  # a line that was cut off
        return events
