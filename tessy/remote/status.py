"""What an HTTP status means to us."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from tessy.errors import BackendDown, BackendError, BackendRejected, BackendUnavailable
from tessy.remote.retry_after import parse_retry_after
from tessy.variables import redact

__all__ = ["error_for_status"]

_BUSY = (429, 503, 529)
_AGAIN = (408, 409, 425)
_KEY = "the key is refused; api_key_env= names the variable that holds it, api_key_file= a file"


def error_for_status(
    status: int,
    message: str,
    headers: Mapping[str, str],
    *,
    what: str,
    no_credit: bool = False,
    key: str = _KEY,
    path: str = "",
) -> BackendError:
    """The error for an answer that is no success.

    Args:
        status: the HTTP status.
        message: what the service says, without secrets.
        headers: of the response.
        what: names backend and URL.
        no_credit: the service says that the account has none, whatever the status.
        key: what is to be said of the key if that is what is wrong (`tessy.remote.keys.key_trouble`).
        path: what is to be said of the URL if there is nothing.
    """
    said = f": {message}" if message else ""
    if status in (401, 403):
        return BackendRejected(
            f"{what}: {key} (HTTP {status}{said})",
            key=status == 401,  # with 403 some services refuse a prompt
        )
    if status == 402 or no_credit:
        return BackendDown(f"{what}: the account has no credit left (HTTP {status}{said})")
    if 300 <= status < 400:
        target = headers.get("Location") or "another place"
        return BackendRejected(
            f"{what}: redirects to {redact(target)}, which is not followed: key and prompts would go with "
            "it; if you trust it, give that URL"
        )
    wait = parse_retry_after(headers, datetime.now(UTC))
    if status in _BUSY:
        return BackendUnavailable(
            f"{what}: has too much to do (HTTP {status}{said})", retry_after=wait, busy=True
        )
    if status in _AGAIN or (status >= 500 and status != 501):  # not implemented: nor will it be
        return BackendUnavailable(f"{what}: failed (HTTP {status}{said})", retry_after=wait)
    if status == 404:
        hint = f"; {path}" if path else ""
        return BackendRejected(f"{what}: no such model or path (HTTP 404{said}){hint}")
    return BackendRejected(f"{what}: refused (HTTP {status}{said})")
