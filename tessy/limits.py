"""Where a trajectory ends by force, and how patiently it is served."""

from __future__ import annotations

from dataclasses import dataclass, field

from tessy.attempts import RETRIES
from tessy.repetition import Repetition

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a trajectory ends by force.

    Attributes:
        max_length: tokens of a trace, in the student's tokens where there is a student.
        empty_turns: turns in a row that may keep nothing.
        retries: times a turn is asked for again when its backend was unavailable; twice at most where nothing
            had come in time.
        policy_seconds: how long a policy may take over a decision, models that it asks not counted.
        blocking_seconds: how long it may hold up the event loop at a time.
        repetition: what is taken for a model that repeats itself without end; ``None``: nothing is.
    """

    max_length: int = 40_000
    empty_turns: int = 8
    retries: int = RETRIES
    policy_seconds: float = 60.0
    blocking_seconds: float = 10.0
    repetition: Repetition | None = field(default_factory=Repetition)
