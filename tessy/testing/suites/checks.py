"""What all kinds of plugins must keep: JSON that is safe to publish, construction without work, options."""

from __future__ import annotations

import builtins
import io
import json
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tessy.abc import Options
from tessy.plugins.contract import breach

__all__ = ["check_class", "check_construction", "check_identity", "check_options"]

_SECRETS = ("KEY", "TOKEN", "SECRET", "PASSWORD")


def check_class(plugin: object, base: type[Any]) -> None:
    """Its class is one that ``load`` may return: methods that can be called as the core calls them."""
    wrong = breach(type(plugin), base)
    assert wrong is None, wrong


def check_identity(identity: Callable[[], Mapping[str, Any]], model: str | None, url: str | None) -> None:
    """It is JSON, the same each time, and holds nothing of this machine, no URL and no secret."""
    first = identity()
    text = json.dumps(first, sort_keys=True)  # raises where it is no JSON
    assert json.loads(text) == json.loads(json.dumps(identity(), sort_keys=True)), "it changes between calls"
    for one in (url or "").split(","):
        assert not one or one not in text, f"identity() holds the URL {one}"
    if model is not None and Path(model).is_absolute():
        assert model not in text, f"identity() holds a path, which differs between machines: {model}"
    assert str(Path.home()) + os.sep not in text, "identity() holds a path of this machine"
    for name, value in os.environ.items():
        if len(value) >= 8 and any(word in name.upper() for word in _SECRETS):
            assert value not in text, f"identity() holds the value of the environment variable {name}"


def check_construction(make: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Making another one opens no file, no connection, and starts no thread and no process."""

    def refused(what: str) -> Callable[..., Any]:
        def refuse(*args: Any, **kwargs: Any) -> Any:
            pytest.fail(f"construction {what} ({args!r:.120}); that belongs in start()")

        return refuse

    with monkeypatch.context() as patch:
        for module in (builtins, io):
            patch.setattr(module, "open", refused("opens a file"))
        patch.setattr(socket.socket, "connect", refused("connects"))
        patch.setattr(threading.Thread, "start", refused("starts a thread"))
        patch.setattr(subprocess.Popen, "__init__", refused("starts a process"))
        make()


def check_options(options: type[Options]) -> None:
    """They have defaults, refuse what they do not know, and each says what it is."""
    options()
    with pytest.raises(ValidationError):
        options.model_validate({"no_such_option": 1})
    for name, field in options.model_fields.items():
        assert field.description, f"option {name} has no description: `tessy plugins NAME` shows it"
