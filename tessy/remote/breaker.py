"""A circuit breaker: an endpoint that fails again and again is left alone, then tried with one request."""

from __future__ import annotations

import random as randoms
from typing import Literal

__all__ = ["Breaker"]

_FAILURES = 3
_FIRST, _MOST = 1.0, 60.0


class Breaker:
    """The state of one endpoint: ``closed`` (in use), ``open`` (left alone), ``probing``.

    Args:
        random: spreads the probes of many processes.
    """

    def __init__(self, random: randoms.Random) -> None:
        self._random = random
        self._failures = 0
        self._delay = _FIRST
        self._retry_at = 0.0
        self._probe = 0
        self.state: Literal["closed", "open", "probing"] = "closed"

    @property
    def healthy(self) -> bool:
        """In ordinary use."""
        return self.state == "closed"

    @property
    def retry_at(self) -> float:
        """When it may be probed, while it is open."""
        return self._retry_at

    def allows(self, now: float) -> bool:
        """Whether a request may go out: any while closed, one probe once the time has come."""
        return self.state == "closed" or (self.state == "open" and now >= self._retry_at)

    def begin(self) -> int | None:
        """A request goes out; a ticket if it is the probe, to be told apart from requests begun before."""
        if self.state != "open":
            return None
        self.state = "probing"
        self._probe += 1
        return self._probe

    def abandoned(self, now: float, probe: int | None) -> None:
        """A request was given up before it told anything."""
        if self._is_probe(probe):
            self.state, self._retry_at = "open", now

    def succeeded(self) -> None:
        """It works."""
        self.state, self._failures, self._delay = "closed", 0, _FIRST

    def failed(self, now: float, probe: int | None = None) -> bool:
        """It failed otherwise than by being busy; whether that has opened the breaker.

        Requests that are older than the outage fail late: they say nothing of a probe under way.
        """
        self._failures += 1
        if not self._is_probe(probe) and (self.state != "closed" or self._failures < _FAILURES):
            return False
        self.state = "open"
        # Jitter keeps many clients from knocking all at once.
        self._retry_at = now + min(_MOST, self._delay * self._random.uniform(0.75, 1.25))
        self._delay = min(_MOST, self._delay * 2)
        return True

    def _is_probe(self, probe: int | None) -> bool:
        return self.state == "probing" and probe == self._probe
