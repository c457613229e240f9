"""Any OpenAI-compatible service as a backend of tessy, through the official SDK."""

from __future__ import annotations

__all__: list[str] = []
