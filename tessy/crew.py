"""Who takes part in a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tessy.abc import Backend, Capabilities, SwitchPolicy
from tessy.boundary import Origin
from tessy.detection import Detection
from tessy.types import Role

__all__ = ["Crew"]


@dataclass(frozen=True)
class Crew:
    """Who takes part: the policy, the backends by role, the detector if labels are needed.

    ``fitting`` names the policies that would work with backends of given capabilities, for messages.
    """

    policy: SwitchPolicy
    policy_origin: Origin
    backends: Mapping[Role, Backend]
    origins: Mapping[Role, Origin]
    detection: Detection | None = None
    fitting: Callable[[Mapping[Role, Capabilities]], Sequence[str]] = lambda can: ()
