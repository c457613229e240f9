"""What services say when they fail or refuse, in each of the forms that they have for it.

Most write ``{"error": {"message"}}``; Google puts a list around that, Cloudflare has
``{"errors": [{"message"}]}``. Errors in a stream whose status was 200 are those of Text Generation Inference
(``http_status_code``, before that ``error_type``), SGLang, vLLM and OpenRouter (``code``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["has_no_credit", "said", "status_in"]

_TYPES = {"validation": 422, "template_error": 422, "tool_error": 422, "overloaded": 429}
_AROUND = ("message", "detail", "error", "errors")
"""What a message stands under, the nearest first."""
_LONGEST = 300
_SPENT = "insufficient_quota"


def said(body: object) -> str:
    """The message in an error's body, on one line and not too long, whatever is around it."""
    try:
        return " ".join(_inner(body).split())[:_LONGEST]
    except RecursionError:
        return "an error that is nested too deeply to be read"


def _inner(body: object) -> str:
    if isinstance(body, Mapping):
        return next((_inner(body[key]) for key in _AROUND if body.get(key)), str(body))
    return "; ".join(map(_inner, body)) if isinstance(body, list) else str(body)


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
