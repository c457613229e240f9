"""What services say when they fail or refuse, in each of the forms that they have for it.

Errors in a stream whose status was 200 are those of Text Generation Inference (``http_status_code``, before
that ``error_type``), SGLang, vLLM and OpenRouter (``code``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["has_no_credit", "status_in"]

_TYPES = {"validation": 422, "template_error": 422, "tool_error": 422, "overloaded": 429}
_SPENT = "insufficient_quota"


def status_in(event: Mapping[str, Any]) -> int | None:
    """The HTTP status that an error in a stream would have had; ``None`` if it does not tell."""
    error = event.get("error")
    told = error if isinstance(error, Mapping) else {}
    for value in (told.get("code"), told.get("http_status_code")):
        if type(value) is int and 400 <= value <= 599:
            return value
    if has_no_credit(error):
        return 429
    kind = event.get("error_type", told.get("error_type"))
    return _TYPES.get(kind) if isinstance(kind, str) else None


def has_no_credit(error: object) -> bool:
    """Whether it is one that only a payment ends: OpenAI has status 429 for that, too."""
    return isinstance(error, Mapping) and _SPENT in (error.get("code"), error.get("type"))
