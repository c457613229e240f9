"""A circuit breaker: an endpoint that fails again and again is left alone, then tried with one request."""

from __future__ import annotations

import random as randoms

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
        self.state = "closed"

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

    def begin(self) -> None:
        """A request goes out."""
        if self.state == "open":
            self.state = "probing"

    def abandoned(self, now: float) -> None:
        """A request was given up before it told anything."""
        if self.state == "probing":
            self.state, self._retry_at = "open", now

    def succeeded(self) -> None:
        """It works."""
        self.state, self._failures, self._delay = "closed", 0, _FIRST

    def failed(self, now: float) -> None:
        """It failed otherwise than by being busy."""
        self._failures += 1
        if self.state == "probing" or (self.state == "closed" and self._failures >= _FAILURES):
            self.state = "open"
            # Jitter keeps many clients from knocking all at once.
            self._retry_at = now + self._delay * self._random.uniform(0.75, 1.25)
            self._delay = min(_MOST, self._delay * 2)
