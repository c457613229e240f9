"""vLLM as a backend of tessy: in this process, or its own server over HTTP; token ids in and out."""

from __future__ import annotations

__all__: list[str] = []
