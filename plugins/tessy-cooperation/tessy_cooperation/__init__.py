"""Switch policies for tessy: other published ways for a large and a small model to share one text."""

from __future__ import annotations

__all__: list[str] = []
