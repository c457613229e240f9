"""What every start of the program costs, and how it ends when something goes wrong."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable

import pytest

from tessy.cli import errors
from tessy.cli.errors import Debug, guarded
from tessy.errors import BackendDown, BackendUnavailable, ConfigError, DataError, PluginError, TessyError

HEAVY = (
    "llama_cpp",
    "vllm",
    "numpy",
    "torch",
    "transformers",
    "tokenizers",
    "onnxruntime",
    "aiohttp",
    "httpx",
    "httpx2",
    "openai",
    "sqlite3",
    "jinja2",
    "yaml",
    "asyncio",
    "tessy_llamacpp",
)
HELP = "import sys; sys.argv = ['tessy', '--help']; from tessy.cli import main; main()"
LIST = "import sys; sys.argv = ['tessy', 'plugins']; from tessy.cli import main; main()"


def imported(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "Usage: tessy" in done.stdout or "scripted" in done.stdout
    return {line.rsplit("|", 1)[1].strip().split(".")[0] for line in done.stderr.splitlines() if "|" in line}


def test_help_imports_nothing_heavy() -> None:
    assert imported(HELP).isdisjoint(HEAVY)


def test_listing_plugins_imports_no_engine() -> None:
    assert imported(LIST).isdisjoint(
        {"llama_cpp", "vllm", "numpy", "torch", "aiohttp", "openai", "transformers"}
    )


def test_help_is_fast() -> None:
    def seconds(code: str) -> float:
        """Of the processor's time: how busy the machine is with others does not matter."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    least = "import typer; from pydantic import BaseModel"
    ours, theirs = (
        min(times) for times in zip(*((seconds(HELP), seconds(least)) for _ in range(5)), strict=True)
    )
    assert ours <= 3 * theirs, f"{ours:.3f} s against {theirs:.3f} s"


def test_the_version_is_shown() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from tessy.cli import main; main(['--version'])"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.startswith("tessy 0.")


def raising(error: BaseException) -> Callable[[], None]:
    def call() -> None:
        raise error

    return call


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (ConfigError("wrong"), 2, "tessy: wrong\n"),
        (DataError("p.jsonl:3: bad"), 2, "tessy: p.jsonl:3: bad\n"),
        (PluginError("theirs"), 2, "tessy: theirs\n"),
        (BackendUnavailable("down"), 2, "tessy: down\n"),
        (BackendDown("dead"), 1, "tessy: dead\n"),
        (TessyError("disk full"), 1, "tessy: disk full\n"),
        (ZeroDivisionError("oh"), 1, "tessy: unexpected ZeroDivisionError: oh\n"),
        (ExceptionGroup("g", [ExceptionGroup("h", [ConfigError("inner")])]), 2, "tessy: inner\n"),
        (ExceptionGroup("g", [ConfigError("inner"), KeyError("k")]), 1, "tessy: unexpected ExceptionGroup"),
        (ConfigError("red \x1b[31mtext"), 2, "tessy: red \u241b[31mtext\n"),
        (
            PermissionError(13, "Permission denied", "a/b"),
            1,
            "tessy: a/b: Permission denied; see",
        ),
        (KeyboardInterrupt(), 130, ""),
        (BaseExceptionGroup("g", [KeyboardInterrupt()]), 130, ""),
        (SystemExit(3), 3, ""),
        (SystemExit(), 0, ""),
        (SystemExit("words"), 1, "tessy: words\n"),
    ],
)
def test_errors_become_messages_and_exit_codes(
    error: BaseException,
    code: int,
    says: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("TESSY_DEBUG", raising=False)
    assert guarded(raising(error), Debug()) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(says)
    assert "Traceback" not in err


@pytest.mark.parametrize(("debug", "variable"), [(Debug(on=True), ""), (Debug(), "1")])
def test_a_traceback_only_if_asked_for(
    debug: Debug, variable: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TESSY_DEBUG", variable)
    guarded(raising(ConfigError("wrong")), debug)
    err = capsys.readouterr().err
    assert err.startswith("Traceback")
    assert err.endswith("tessy: wrong\n")


def test_the_flag_turns_debugging_on() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from tessy.cli import main; main()",
            "--debug",
            "plugins",
            "nothing-of-that-name",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == errors.WRONG_USE
    assert done.stderr.startswith("Traceback")


def test_wrong_use_is_exit_code_2() -> None:
    for args in (["no-such-command"], ["plugins", "--no-such-flag"], []):
        done = subprocess.run(
            [sys.executable, "-c", "from tessy.cli import main; main()", *args],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == errors.WRONG_USE
