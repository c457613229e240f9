"""A run's identity: what must not change between the processes that work on one run directory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from tessy.errors import ConfigError
from tessy.journal.store import Store

__all__ = ["check_identity"]


def check_identity(store: Store, identity: Mapping[str, Any], folder: str) -> None:
    """Record a new run's identity, or compare with the recorded one.

    Raises:
        ConfigError: they differ; says where, in plain words.
    """
    recorded = store.meta("identity")
    if recorded is None:
        store.set_meta("identity", orjson.dumps(identity, option=orjson.OPT_SORT_KEYS).decode())
        return
    before = orjson.loads(recorded)
    now = orjson.loads(orjson.dumps(identity))
    if before == now:
        return
    lines = [f"  {path}: was {_short(a)}, is now {_short(b)}" for path, a, b in _differences(before, now)]
    raise ConfigError(
        f"{folder}: holds a run that was begun differently:\n" + "\n".join(lines) + "\n"
        "Give the old settings to go on with it, or choose another -o."
    )


_MISSING = object()


def _differences(before: Any, now: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    if isinstance(before, dict) and isinstance(now, dict):
        found = []
        for key in sorted(before.keys() | now.keys()):
            inner = f"{path}.{key}" if path else str(key)
            found += _differences(before.get(key, _MISSING), now.get(key, _MISSING), inner)
        return found
    return [] if before == now else [(path, before, now)]


def _short(value: Any) -> str:
    if value is _MISSING:
        return "absent"
    text = orjson.dumps(value).decode()
    return text if len(text) <= 60 else text[:57] + "…"
