"""Our backends keep the contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from tessy.abc import Backend
from tessy.testing import EchoBackend, ScriptedBackend, ScriptedOptions
from tessy.testing.suites import BackendSuite

MODELS = Path(__file__).parents[2] / "examples" / "miniature" / "models"


class TestScripted(BackendSuite):
    entry_point = "tessy.builtin"

    @pytest.fixture(params=[1, 5])
    def backend(self, request: pytest.FixtureRequest) -> Backend:
        return ScriptedBackend("student", ScriptedOptions(chunk=request.param))


class TestScriptedWithOdds(BackendSuite):
    @pytest.fixture(params=[1, 5])
    def backend(self, request: pytest.FixtureRequest) -> Backend:
        return ScriptedBackend(
            "student",
            ScriptedOptions(chunk=request.param),
            odds=lambda so_far, word: {word: 0.5, f"{word}!": 0.25, f"{word}?": 0.125},
        )


class TestEcho(BackendSuite):
    question = "To be or not to be, that is the question. Whether 't is nobler in the mind to suffer"

    @pytest.fixture
    def backend(self) -> Backend:
        return EchoBackend()


@pytest.mark.engine
class TestLlamaCpp(BackendSuite):
    entry_point = "tessy_llamacpp.plugin"

    @pytest.fixture(params=["student", "teacher"])
    def backend(self, request: pytest.FixtureRequest) -> Backend:
        pytest.importorskip("llama_cpp", reason="the extra 'llamacpp' is not installed")
        from tessy_llamacpp.backend import LlamaCppBackend
        from tessy_llamacpp.options import LlamaCppOptions

        return LlamaCppBackend(str(MODELS / f"{request.param}.gguf"), LlamaCppOptions(n_ctx=1024, parallel=4))
