"""llama.cpp in this process, as a backend of tessy: many trajectories in one batch."""

from __future__ import annotations

__all__: list[str] = []
