"""One URL with what is known of it."""

from __future__ import annotations

import random as randoms
from dataclasses import dataclass

from tessy.remote.breaker import Breaker
from tessy.remote.window import Window

__all__ = ["Endpoint", "EndpointStats"]


@dataclass(frozen=True, slots=True)
class EndpointStats:
    """What has happened at an endpoint.

    Attributes:
        requests: that went out.
        failures: requests that failed, being busy included.
        retries: requests that were sent again after one of those, here or elsewhere.
        moves: trajectories that left it because it failed.
        active: requests under way.
        window: how many it may have at once, at the moment.
        state: ``closed`` (in use), ``open`` (left alone after failures) or ``probing``.
    """

    requests: int
    failures: int
    retries: int
    moves: int
    active: int
    window: int
    state: str


class Endpoint:
    """A URL, its window, its breaker, its counts."""

    def __init__(self, url: str, most: int, random: randoms.Random) -> None:
        self.url = url
        self.window: Window = Window(most)
        self.breaker: Breaker = Breaker(random)
        self.keys = 0
        """Trajectories that stay here."""
        self.requests = self.failures = self.retries = self.moves = 0

    @property
    def load(self) -> tuple[float, float]:
        """For choosing the one that has least to do."""
        return self.keys / self.window.limit, (self.window.active + self.window.waiting) / self.window.limit

    @property
    def stats(self) -> EndpointStats:
        """The figures as of now."""
        return EndpointStats(
            self.requests,
            self.failures,
            self.retries,
            self.moves,
            self.window.active,
            int(self.window.limit),
            self.breaker.state,
        )
