"""tessy: a teacher and a student model write reasoning traces together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tessy._version import __version__
from tessy.abc import Backend, Capabilities, Context, Options, Session, StyleDetector, SwitchPolicy
from tessy.draft import Draft
from tessy.hooks import Plugin, hookimpl
from tessy.trajectory import Trajectory
from tessy.types import (
    Chunk,
    Cut,
    Done,
    Keep,
    Label,
    Message,
    Needs,
    Prepared,
    Prompt,
    Reply,
    Request,
    Scores,
    Selected,
    Span,
    TokenLogprob,
    Turn,
    TurnRecord,
    Usage,
    Window,
)

if TYPE_CHECKING:
    from tessy.api import generate, run, run_async, stream

__all__ = [
    "Backend",
    "Capabilities",
    "Chunk",
    "Context",
    "Cut",
    "Done",
    "Draft",
    "Keep",
    "Label",
    "Message",
    "Needs",
    "Options",
    "Plugin",
    "Prepared",
    "Prompt",
    "Reply",
    "Request",
    "Scores",
    "Selected",
    "Session",
    "Span",
    "StyleDetector",
    "SwitchPolicy",
    "TokenLogprob",
    "Trajectory",
    "Turn",
    "TurnRecord",
    "Usage",
    "Window",
    "__version__",
    "generate",
    "hookimpl",
    "run",
    "run_async",
    "stream",
]

_API = ("generate", "run", "run_async", "stream")


def __getattr__(name: str) -> Any:
    """The functions of `tessy.api`, imported when they are first used: plugins do without them."""
    if name in _API:
        import tessy.api

        return getattr(tessy.api, name)
    raise AttributeError(f"module 'tessy' has no attribute {name!r}")
