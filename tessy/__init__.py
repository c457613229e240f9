"""tessy: a teacher and a student model write reasoning traces together."""

from __future__ import annotations

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
    "hookimpl",
]
