"""The sessions of one trajectory: one a role, opened when the role is first needed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack

from tessy.abc import Backend, Session
from tessy.boundary import Origin, cancelled, plugin
from tessy.types import Prepared, Prompt, Role, Usage

__all__ = ["Sessions", "halted"]

log: logging.Logger = logging.getLogger(__name__)

_CLOSING = 60.0
"""Seconds that a session may take to close, or to halt; it holds its trajectory's place meanwhile."""


async def halted(session: Session, origin: Origin) -> Usage:
    """What it has cost that the session wrote on for nobody, beyond what it had counted until now.

    One that fails to halt, or hangs, is closed with its trajectory at the latest.
    """
    if type(session).halt is Session.halt:  # there are several turns a second, and most have nothing to do
        return Usage()
    before = session.usage()
    try:
        async with asyncio.timeout(_CLOSING):
            await session.halt()
    except TimeoutError:
        log.warning("%s: a session does not halt and is left as it is", origin)
    except asyncio.CancelledError:  # its own, of some task within, ends nothing here
        if cancelled():
            raise
    except Exception as error:  # documented never to raise; a plugin may, and its turn is over
        log.debug("%s: a session fails to halt", origin, exc_info=error)
    now = session.usage()
    return Usage() if now is None or before is None else now - before


class Sessions(Mapping[Role, Session]):
    """A mapping from role to session that opens on look-up and closes all together."""

    def __init__(
        self,
        backends: Mapping[Role, Backend],
        origins: Mapping[Role, Origin],
        prompt: Prompt,
        prepared: Prepared | None,
        key: str,
    ) -> None:
        self._backends = backends
        self._origins = origins
        self._prompt = prompt
        self._prepared = prepared
        self._key = key
        self._open: dict[Role, Session] = {}

    def __getitem__(self, role: Role) -> Session:
        if role not in self._open:
            prompts = self._prepared.prompts if self._prepared is not None else {}
            prompt = prompts.get(role, self._prompt)
            with plugin(self._origins[role], "session"):
                self._open[role] = self._backends[role].session(prompt, f"{self._key}/{role}")
        return self._open[role]

    def __contains__(self, role: object) -> bool:
        return role in self._backends

    def __iter__(self) -> Iterator[Role]:
        return iter(self._backends)

    def __len__(self) -> int:
        return len(self._backends)

    async def close(self) -> None:
        """Close what was opened; a session that fails to close, or hangs, does not keep the others open.

        Nor does a cancellation that arrives meanwhile: it is passed on when all have been told.
        """
        async with AsyncExitStack() as stack:
            for role, session in self._open.items():
                stack.push_async_callback(self._close, role, session)
            self._open = {}

    async def _close(self, role: Role, session: Session) -> None:
        try:
            async with asyncio.timeout(_CLOSING):
                await session.close()
        except TimeoutError:
            log.warning("%s: a session does not close and is left as it is", self._origins[role])
        except asyncio.CancelledError:
            if cancelled():
                raise
        except Exception:  # noqa: S110 – documented never to raise; a plugin may, and the trace is finished
            pass
