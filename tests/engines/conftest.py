"""A real vLLM on the CPU with the miniature pair: in this process, and as servers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, aclosing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tessy.abc import Backend, Session
from tessy.types import Chunk, Request, Span, Turn
from tessy_vllm.metrics import read_metrics

MODELS = Path(__file__).parents[2] / "examples" / "miniature" / "models"
PROMPTS = MODELS.parent / "prompts.jsonl"
ROLES = ("teacher", "student")
ENGINE = {"enforce_eager": "true", "dtype": "float32", "block_size": "32", "max_model_len": "2048"}
KEY = "canary-7f3a91c2"
"""The servers' key; it must never be seen anywhere."""

os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")


@dataclass
class Server:
    """A vLLM server in a process of its own."""

    name: str
    url: str
    process: subprocess.Popen[bytes]

    def metrics(self) -> dict[str, float]:
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as page:
            return dict(read_metrics(page.read().decode()))


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@contextmanager
def serving(name: str, folder: Path) -> Iterator[Server]:
    """Start a server; ends it, and all of its processes, at the end."""
    port = free_port()
    command = [
        sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(MODELS / name),
        "--served-model-name", name, "--host", "127.0.0.1", "--port", str(port), "--enforce-eager",
        "--dtype", "float32", "--block-size", "32", "--max-model-len", "2048",
        "--enable-prompt-tokens-details",
    ]  # fmt: skip
    with (folder / f"{name}-{port}.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "VLLM_API_KEY": KEY, "VLLM_LOGGING_LEVEL": "WARNING"},
        )
        try:
            yield Server(name, f"http://127.0.0.1:{port}", process)
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def wait_for(server: Server, seconds: float = 300) -> None:
    """Until it answers."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert server.process.poll() is None, "the server has ended; see its log"
        try:
            urllib.request.urlopen(f"{server.url}/health", timeout=5).close()
        except OSError:
            time.sleep(0.5)  # a server of another process: there is nothing to wait on
        else:
            return
    raise AssertionError("the server does not answer")


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Server]]:
    """Teacher and student, started side by side."""
    folder = tmp_path_factory.mktemp("servers")
    os.environ["TESSY_TEST_KEY"] = KEY
    with ExitStack() as stack:
        started = {name: stack.enter_context(serving(name, folder)) for name in ROLES}
        for server in started.values():
            wait_for(server)
        yield started


def make_server_backend(server: Server, **options: object) -> Backend:
    from tessy_vllm.backend import VllmBackend
    from tessy_vllm.options import VllmOptions

    made = VllmOptions(**{"api_key_env": "TESSY_TEST_KEY", **options})
    return VllmBackend(server.name, made, url=server.url)


def make_local_backend(name: str, **options: object) -> Backend:
    from tessy_vllm.backend import VllmBackend
    from tessy_vllm.options import VllmOptions

    return VllmBackend(str(MODELS / name), VllmOptions(**{**ENGINE, **options}))


def make_openai_backend(server: Server, **options: object) -> Backend:
    from tessy_openai.backend import OpenAIBackend
    from tessy_openai.options import OpenAIOptions

    made = OpenAIOptions(**{"api_key_env": "TESSY_TEST_KEY", **options})
    return OpenAIBackend(server.name, made, url=f"{server.url}/v1")


@pytest.fixture
async def student(servers: dict[str, Server]) -> AsyncIterator[Backend]:
    backend = make_server_backend(servers["student"])
    await backend.start()
    yield backend
    await backend.close()


async def read(session: Session, request: Request, most: int | None = None) -> list[Chunk]:
    """The chunks of a turn; with ``most``, closed after as many tokens."""
    chunks: list[Chunk] = []
    async with aclosing(session.generate(request)) as stream:
        async for chunk in stream:
            chunks.append(chunk)
            if most is not None and sum(c.tokens for c in chunks) >= most:
                break
    return chunks


def text_of(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


def span_of(chunks: list[Chunk], author: str, turn: int = 0, phase: str = "think") -> Span:
    """All of a turn as the core would commit it."""
    text = text_of(chunks)
    ids = tuple(i for chunk in chunks for i in chunk.ids or ())
    return Span(author, phase, text, turn, len(ids), ids, len(text))  # type: ignore[arg-type]


def think(
    role: str = "student", *, spans: tuple[Span, ...] = (), seed: int = 1, done: int = 0, **turn: object
) -> Request:
    return Request(Turn(role, "think", **turn), spans, seed, done)  # type: ignore[arg-type]
