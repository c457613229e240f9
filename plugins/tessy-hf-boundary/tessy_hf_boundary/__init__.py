"""A style detector for tessy: any token classifier from the Hugging Face hub or a folder."""

from __future__ import annotations

__all__: list[str] = []
