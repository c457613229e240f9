"""Options that the shipped policies share."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tessy.abc import Options

__all__ = ["ThinkingOptions"]


class ThinkingOptions(Options):
    """What every policy that writes a thinking needs to know."""

    on_eos: Literal["fail", "answer"] = Field(
        default="fail",
        description="an end of turn inside the thinking: a failure, or taken for the end of the thinking",
    )
