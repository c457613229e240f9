"""Questions at the start of a run meet with faults, over real sockets, at both remote backends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from faultproxy import WAITS, Fault, FaultProxy
from tessy.abc import Backend
from tessy.errors import BackendDown, BackendRejected, BackendTimeout, BackendUnavailable, ConfigError
from tessy.remote.starting import from_each, insist
from tessy.testing.simulated import SimulatedServer
from tessy_openai.backend import OpenAIBackend
from tessy_openai.options import OpenAIOptions
from tessy_vllm.backend import VllmBackend
from tessy_vllm.options import VllmOptions

KINDS = pytest.mark.parametrize("kind", ["openai", "vllm"])
# A page where an API should be is a wrong URL, not a fault: that is said at once.
TRANSIENT = [
    fault
    for fault in WAITS
    if fault.name.startswith(("reset before", "stall before", "429", "5")) and "," not in fault.name
]
BY_NAME = {fault.name: fault for fault in WAITS}
PAUSES = (0.01, 0.02, 0.03)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tessy.remote.starting._PAUSES", PAUSES)


@asynccontextmanager
async def proxied(folder: Path) -> AsyncIterator[FaultProxy]:
    server = SimulatedServer("model", folder, capacity=64_000)
    async with FaultProxy(await server.start()) as proxy:
        try:
            yield proxy
        finally:
            await server.stop()


def make(kind: str, *urls: str) -> Backend:
    if kind == "vllm":
        return VllmBackend("model", VllmOptions(connect_timeout=1.5), url=",".join(urls))
    options = OpenAIOptions(connect_timeout=1.5, first_token_timeout=1.5)
    return OpenAIBackend("model", options, url=",".join(f"{url}/v1" for url in urls))


async def started(backend: Backend) -> int | None:
    """Start it and close it; what it says of its KV memory."""
    try:
        await backend.start()
        return backend.capabilities.kv_tokens
    finally:
        await backend.close()


@KINDS
@pytest.mark.parametrize("fault", TRANSIENT, ids=lambda fault: fault.name)
async def test_the_list_of_models_is_asked_for_again(kind: str, fault: Fault, tmp_path: Path) -> None:
    async with proxied(tmp_path) as proxy:
        proxy.others["/v1/models"] = [fault, fault, fault] if fault.name != "stall before" else [fault, fault]
        failing = len(proxy.others["/v1/models"])
        await started(make(kind, proxy.url))
        assert proxy.struck == {fault.name: failing}
        assert proxy.asked["/v1/models"] == failing + 1


@pytest.mark.parametrize("name", ["reset before", "500", "503, seconds"])
async def test_what_only_vllm_is_asked_is_asked_again(name: str, tmp_path: Path) -> None:
    async with proxied(tmp_path) as proxy:
        expected = await started(make("vllm", proxy.url))
        assert expected == 64_000
        usual = proxy.asked.copy()
        assert usual["/tokenize"] == 2, "vocabulary and template"
        proxy.others = {"/tokenize": [BY_NAME[name]], "/metrics": [BY_NAME[name]]}
        assert await started(make("vllm", proxy.url)) == expected
        assert proxy.struck == {name: 2}
        again = proxy.asked - usual
        assert (again["/tokenize"], again["/metrics"]) == (3, 2)


async def test_a_replica_without_metrics_counts_like_the_other(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    async with proxied(tmp_path / "a") as one, proxied(tmp_path / "b") as other:
        assert await started(make("vllm", one.url, other.url)) == 128_000
        other.others["/metrics"] = [BY_NAME["503"]] * 8
        assert await started(make("vllm", one.url, other.url)) == 128_000
        one.others["/metrics"] = [BY_NAME["503"]] * 8
        assert await started(make("vllm", one.url, other.url)) is None


@pytest.mark.parametrize("name", ["reset before", "stall before", "503", "HTML with 200"])
async def test_a_completion_that_is_tried_is_tried_again(name: str, tmp_path: Path) -> None:
    """Where the way to continue a text is found out; a probe that is never answered does not hang."""
    async with proxied(tmp_path) as proxy:
        proxy.next = [BY_NAME[name], BY_NAME[name]]
        options = OpenAIOptions(template="chatml-think", first_token_timeout=1.5)
        await started(OpenAIBackend("model", options, url=f"{proxy.url}/v1"))
        assert proxy.struck == {name: 2}


@KINDS
@pytest.mark.parametrize(
    ("name", "kind_of_error", "says", "times"),
    [
        ("503", BackendUnavailable, "503", 4),
        (
            "reset before",
            BackendUnavailable,
            "127.0.0.1",
            8,
        ),  # the HTTP client sends what was lost once more by itself
        ("stall before", BackendTimeout, "no answer", 3),
    ],
)
async def test_a_fault_that_stays_is_a_typed_error(
    kind: str, name: str, kind_of_error: type[Exception], says: str, times: int, tmp_path: Path
) -> None:
    async with proxied(tmp_path) as proxy:
        proxy.others["/v1/models"] = [BY_NAME[name]] * 9
        with pytest.raises(kind_of_error, match=says) as caught:
            await started(make(kind, proxy.url))
        assert type(caught.value) is kind_of_error
        assert proxy.asked == {"/v1/models": times}, "nothing else is asked"


async def test_a_vocabulary_that_cannot_be_compared_is_no_vocabulary_that_fits(tmp_path: Path) -> None:
    async with proxied(tmp_path) as proxy:
        proxy.others["/tokenize"] = [BY_NAME["500"]] * 9
        with pytest.raises(BackendUnavailable, match="500"):
            await started(make("vllm", proxy.url))


@KINDS
async def test_a_replica_that_fails_for_good_is_left_out(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with proxied(tmp_path) as bad, proxied(tmp_path) as good:
        bad.others["/v1/models"] = [BY_NAME["500"]] * 9
        with caplog.at_level(logging.WARNING):
            await started(make(kind, bad.url, good.url))
        assert "goes on without a replica" in caplog.text
        assert bad.asked == {"/v1/models": len(PAUSES) + 1}


async def test_what_is_asked_again_and_what_is_not() -> None:
    errors: list[Exception] = []

    async def ask() -> str:
        if errors:
            raise errors.pop()
        return "answer"

    for final in (BackendRejected("no"), BackendDown("no"), BackendTimeout("no", again=False)):
        errors = [ValueError("asked again"), final]
        with pytest.raises(type(final)):
            await insist(ask, what="it")
        assert len(errors) == 1
    errors = [BackendUnavailable("x"), BackendTimeout("x"), BackendUnavailable("x", busy=True)]
    assert await insist(ask, what="it") == "answer"
    errors = [TimeoutError("its own")]
    with pytest.raises(TimeoutError, match="its own"):
        await insist(ask, what="it", seconds=5)


async def test_a_server_may_say_how_long_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    paused: list[float] = []
    sleep = asyncio.sleep

    async def watched(seconds: float) -> None:
        paused.append(seconds)
        await sleep(0)

    monkeypatch.setattr("tessy.remote.starting.asyncio.sleep", watched)
    waits = [BackendUnavailable("x", retry_after=after) for after in (3600.0, 7.0, 0.0)]

    async def ask() -> int:
        if waits:
            raise waits.pop()
        return 1

    await insist(ask, what="it")
    assert paused == [PAUSES[0], 7.0, 60.0], "at least the pause, at most a minute"


async def test_of_several_replicas_a_wrong_one_stops_the_start() -> None:
    async def ask(url: str) -> str:
        if url == "wrong":
            raise ConfigError("no such model")
        if url == "away":
            raise BackendUnavailable("away")
        return url

    assert await from_each(["away", "a", "b"], ask) == {"a": "a", "b": "b"}
    with pytest.raises(ConfigError, match="no such model"):
        await from_each(["a", "wrong"], ask)
    with pytest.raises(BackendUnavailable, match="away"):
        await from_each(["away"], ask)
