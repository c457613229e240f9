"""Our backends that speak to servers keep the contract, against a simulated server in a process apart."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tessy.abc import Backend
from tessy.testing.simulated import simulated_servers
from tessy.testing.suites import BackendSuite
from tessy_openai.backend import OpenAIBackend
from tessy_openai.options import OpenAIOptions
from tessy_vllm.backend import VllmBackend
from tessy_vllm.options import VllmOptions


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    options = {"thinking": 60, "answer": 12, "token": 0.002, "first": 0.004, "context": 4096}
    with simulated_servers(["student"], **options) as urls:
        yield urls["student"]


class TestVllm(BackendSuite):
    entry_point = "tessy_vllm.plugin"

    @pytest.fixture
    def backend(self, url: str) -> Backend:
        return VllmBackend("student", VllmOptions(), url=url)


class TestOpenAI(BackendSuite):
    entry_point = "tessy_openai.plugin"

    @pytest.fixture(params=["auto", "text", "continue-final-message"])
    def backend(self, url: str, request: pytest.FixtureRequest) -> Backend:
        options = {} if request.param == "auto" else {"template": "chatml-think"}
        return OpenAIBackend("student", OpenAIOptions(continuation=request.param, **options), url=f"{url}/v1")


class TestOpenAIThatCannotContinue(BackendSuite):
    entry_point = "tessy_openai.plugin"

    @pytest.fixture
    def backend(self, url: str) -> Backend:
        return OpenAIBackend("student", OpenAIOptions(continuation="none"), url=f"{url}/v1")
