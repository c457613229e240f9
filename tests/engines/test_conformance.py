"""Backends keep the contract with a real vLLM behind, its server started once."""

from __future__ import annotations

import pytest

from engines.conftest import MODELS, Server, make_openai_backend, make_server_backend
from tessy.abc import Backend
from tessy.testing.suites import BackendSuite


class TestVllmServer(BackendSuite):
    entry_point = "tessy_vllm.plugin"

    @pytest.fixture(params=["student", "teacher"])
    def backend(self, servers: dict[str, Server], request: pytest.FixtureRequest) -> Backend:
        return make_server_backend(servers[request.param])


class TestOpenAI(BackendSuite):
    entry_point = "tessy_openai.plugin"

    @pytest.fixture(params=["auto", "text"])
    def backend(self, servers: dict[str, Server], request: pytest.FixtureRequest) -> Backend:
        folder = str(MODELS / "student")
        return make_openai_backend(servers["student"], continuation=request.param, tokenizer=folder)
