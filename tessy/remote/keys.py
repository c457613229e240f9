"""The key of a service: from the environment or from a file nobody else can read, never from a setting."""

from __future__ import annotations

import ipaddress
import logging
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from tessy.errors import ConfigError
from tessy.remote.options import RemoteOptions

__all__ = ["key_trouble", "read_key", "warn_if_in_the_clear"]

log: logging.Logger = logging.getLogger(__name__)

_LONGEST = 16_384
"""Bytes; what is longer is no key."""


def read_key(options: RemoteOptions, *, what: str, usual: str | None = None) -> str | None:
    """The key, if the options name one; else that of variable ``usual``, if it is set.

    Raises:
        ConfigError: the variable is not set, it or the file holds no key, or others can read the file.
    """
    if options.api_key_env is not None and options.api_key_file is not None:
        raise ConfigError(f"{what}: api_key_env and api_key_file are both given; leave one out")
    if options.api_key_file is not None:
        return _from_file(Path(options.api_key_file).expanduser(), what)
    name = options.api_key_env or usual or ""
    # Secrets that come from a file, as those of Kubernetes do, often end with its line.
    key = os.environ.get(name, "").strip()
    if options.api_key_env is not None and not key:
        raise ConfigError(f"{what}: the environment variable {options.api_key_env} (api_key_env) is not set")
    if key and not _is_key(key):
        raise ConfigError(f"{what}: the environment variable {name} must hold a key and nothing else")
    return key or None


def key_trouble(options: RemoteOptions, *, given: bool, usual: str | None = None) -> str:
    """What is to be said of the key, never the key itself, where a service refuses to answer.

    Args:
        options: those that `read_key` had.
        given: whether it has found one.
        usual: as for `read_key`.
    """
    if given and options.api_key_file is not None:
        return f"the key is refused, that of api_key_file {options.api_key_file}"
    if given:
        return f"the key is refused, that of the environment variable {options.api_key_env or usual}"
    if usual is not None:
        return (
            f"no key was given; set the environment variable {usual}, or name another with api_key_env=, "
            "or a file with api_key_file="
        )
    return "no key was given; api_key_env= names the environment variable that holds it, api_key_file= a file"


def warn_if_in_the_clear(key: str | None, urls: Iterable[str], *, what: str) -> None:
    """Say so where a key would cross a network that others can listen to."""
    for url in urls if key else ():
        parts = urlsplit(url)
        if parts.scheme == "http" and not _loopback(parts.hostname or ""):
            log.warning(
                "%s: the key is sent to %s without encryption, others on the way can read it; use https",
                what,
                parts.hostname,
            )


def _from_file(path: Path, what: str) -> str:
    # Permissions are those of what is then read, not of what stands there a moment before.
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(_LONGEST + 1) if stat.S_ISREG(mode) else b""
    except OSError as error:
        raise ConfigError(f"{what}: api_key_file {path} cannot be read: {error.strerror}") from None
    if os.name == "posix" and mode & 0o077:
        raise ConfigError(f"{what}: api_key_file {path} can be read by others; chmod 600 {path}")
    key = text.decode("utf-8", "replace").strip()
    if not _is_key(key) or len(text) > _LONGEST:
        raise ConfigError(f"{what}: api_key_file {path} must hold a key, on one line, and nothing else")
    return key


def _is_key(text: str) -> bool:
    """Whether a header can carry it."""
    return 0 < len(text) <= _LONGEST and text.isascii() and text.isprintable() and " " not in text


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
