"""What goes into and comes out of the journal, apart from the contracts' own types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tessy.types import Json, Prompt, Usage

__all__ = ["Failure", "Job", "TurnUsage"]


@dataclass(frozen=True, slots=True)
class Job:
    """One row to be written, as it stands in the journal.

    ``n`` is the journal's own number, ``row`` the user's id.
    """

    n: int
    row: str
    sample: int
    attempt: int
    prompt: Prompt
    columns: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class TurnUsage:
    """What one turn, or one request of a policy, cost. ``generated = kept + marks + discarded``."""

    role: str
    engine: Usage
    kept: int = 0
    marks: int = 0
    discarded: int = 0
    purpose: str = "turn"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt could not be finished, and what was written by then."""

    reason: str
    message: str
    thinking: str = ""
    answer: str = ""
    turns: int = 0
