"""A real engine with the miniature pair."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

pytest.importorskip("llama_cpp", reason="the extra 'llamacpp' is not installed")

from tessy.abc import Session
from tessy.types import Chunk, Request, Span, Turn
from tessy_llamacpp.backend import LlamaCppBackend
from tessy_llamacpp.options import LlamaCppOptions

MODELS = Path(__file__).parents[2] / "examples" / "miniature" / "models"


def make(model: str = "student", **options: object) -> LlamaCppBackend:
    options = {"n_ctx": 1024, "parallel": 8, **options}
    return LlamaCppBackend(str(MODELS / f"{model}.gguf"), LlamaCppOptions(**options))


@pytest.fixture
async def student() -> AsyncIterator[LlamaCppBackend]:
    backend = make("student")
    await backend.start()
    yield backend
    await backend.close()


@pytest.fixture
async def teacher() -> AsyncIterator[LlamaCppBackend]:
    backend = make("teacher")
    await backend.start()
    yield backend
    await backend.close()


async def read(session: Session, request: Request, most: int | None = None) -> list[Chunk]:
    """The chunks of a turn; with ``most``, closed after as many characters."""
    chunks: list[Chunk] = []
    async with aclosing(session.generate(request)) as stream:
        async for chunk in stream:
            chunks.append(chunk)
            if most is not None and sum(len(c.text) for c in chunks) >= most:
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
