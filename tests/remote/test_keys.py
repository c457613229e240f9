"""Where keys come from, who may read them, and where they must not go."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tessy.errors import ConfigError
from tessy.remote import RemoteOptions
from tessy.remote.keys import key_trouble, read_key, warn_if_in_the_clear
from tessy.remote.status import error_for_status

CANARY = "canary-key-77aa"


def key_file(folder: Path, text: str = CANARY + "\n", mode: int = 0o600) -> Path:
    path = folder / "key"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_file_of_its_owner_is_read(tmp_path: Path) -> None:
    assert read_key(RemoteOptions(api_key_file=str(key_file(tmp_path))), what="x") == CANARY
    assert read_key(RemoteOptions(api_key_file=str(key_file(tmp_path, mode=0o400))), what="x") == CANARY


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610])
def test_a_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = key_file(tmp_path, mode=mode)
    with pytest.raises(ConfigError, match=f"can be read by others; chmod 600 {path}") as caught:
        read_key(RemoteOptions(api_key_file=str(path)), what="x")
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("text", ["", "\n", "two\nlines", "a b", "ключ", "k\x1b[31m", "x" * 20_000])
def test_a_file_without_a_key_is_refused_and_not_quoted(tmp_path: Path, text: str) -> None:
    path = key_file(tmp_path, text)
    with pytest.raises(ConfigError, match="must hold a key") as caught:
        read_key(RemoteOptions(api_key_file=str(path)), what="x")
    assert text.strip() == "" or text not in str(caught.value)


@pytest.mark.parametrize("text", [f"{CANARY}\n", f" {CANARY}\r\n", CANARY])
def test_a_variable_may_end_with_its_line(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESSY_USUAL", text)
    assert read_key(RemoteOptions(api_key_env="TESSY_USUAL"), what="x") == CANARY
    assert read_key(RemoteOptions(), what="x", usual="TESSY_USUAL") == CANARY


@pytest.mark.parametrize("text", ["two\nlines", "a b", "ключ", "k\x1b[31m", "x" * 20_000])
def test_a_variable_without_a_key_is_refused_and_not_quoted(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TESSY_USUAL", text)
    for options in (RemoteOptions(), RemoteOptions(api_key_env="TESSY_USUAL")):
        with pytest.raises(ConfigError, match="variable TESSY_USUAL must hold a key") as caught:
            read_key(options, what="x", usual="TESSY_USUAL")
        assert text not in str(caught.value)


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESSY_USUAL", " \n")
    assert read_key(RemoteOptions(), what="x", usual="TESSY_USUAL") is None
    with pytest.raises(ConfigError, match="is not set"):
        read_key(RemoteOptions(api_key_env="TESSY_USUAL"), what="x")


def test_a_missing_file_a_folder_and_two_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_key(RemoteOptions(api_key_file=str(tmp_path / "none")), what="x")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_key(RemoteOptions(api_key_file=str(tmp_path)), what="x")
    with pytest.raises(ConfigError, match="both given"):
        read_key(RemoteOptions(api_key_file="f", api_key_env="E"), what="x")
    monkeypatch.setenv("TESSY_USUAL", CANARY)
    assert read_key(RemoteOptions(), what="x", usual="TESSY_USUAL") == CANARY
    assert read_key(RemoteOptions(), what="x", usual="TESSY_UNSET") is None
    with pytest.raises(ConfigError, match=r"TESSY_UNSET .api_key_env. is not set"):
        read_key(RemoteOptions(api_key_env="TESSY_UNSET"), what="x", usual="TESSY_USUAL")


@pytest.mark.parametrize(
    ("given", "usual", "options", "said"),
    [
        (True, "TESSY_USUAL", {}, "is refused, that of the environment variable TESSY_USUAL"),
        (True, "TESSY_USUAL", {"api_key_env": "OWN"}, "is refused, that of the environment variable OWN"),
        (True, "TESSY_USUAL", {"api_key_file": "k.txt"}, "is refused, that of api_key_file k.txt"),
        (False, "TESSY_USUAL", {}, "no key was given; set the environment variable TESSY_USUAL"),
        (False, None, {}, "no key was given; api_key_env= names"),
    ],
)
def test_what_is_said_of_a_key_names_where_it_is_from(
    given: bool, usual: str | None, options: dict[str, str], said: str
) -> None:
    trouble = key_trouble(RemoteOptions(**options), given=given, usual=usual)  # type: ignore[arg-type]
    assert said in trouble
    for status in (401, 403):
        error = error_for_status(status, "no", {}, what="x", key=trouble)
        assert str(error) == f"x: {trouble} (HTTP {status}: no)"


@pytest.mark.parametrize(
    ("url", "warns"),
    [
        ("http://gpu1:8000", True),
        ("http://10.0.0.7:8000/v1", True),
        ("http://localhost.evil.example", True),
        ("http://127.0.0.1.evil.example", True),
        ("https://api.example.com", False),
        ("http://localhost:8000", False),
        ("http://127.0.0.3:8000", False),
        ("http://[::1]:8000", False),
    ],
)
def test_a_key_in_the_clear_is_warned_of(url: str, warns: bool, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        warn_if_in_the_clear(CANARY, [url], what="x")
    assert ("without encryption" in caplog.text) is warns
    assert CANARY not in caplog.text
    caplog.clear()
    warn_if_in_the_clear(None, [url], what="x")
    assert not caplog.text
