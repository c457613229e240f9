"""When a service wants to be asked again (RFC 9110, section 10.2.3, and the ``retry-after-ms`` of some)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime

__all__ = ["parse_retry_after"]


def parse_retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds to wait, never negative; ``None`` if the headers do not say or cannot be read.

    Args:
        headers: of the response, in any case.
        now: with a time zone; what a date is compared with.
    """
    lower = {name.lower(): value.strip() for name, value in headers.items()}
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        if name in lower and (seconds := _number(lower[name])) is not None:
            return max(0.0, seconds / unit)
    try:
        when = parsedate_to_datetime(lower["retry-after"])
        return max(0.0, (when - now).total_seconds())
    except (KeyError, ValueError, TypeError):
        return None


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
