"""Asking the stand-in, and what comes back."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path
from typing import Any

from openai_standin import Service
from tessy.abc import Session
from tessy.types import Chunk, Prompt, Request, Span, Turn
from tessy_openai.backend import OpenAIBackend
from tessy_openai.options import OpenAIOptions

MODEL = Path(__file__).parents[2] / "examples" / "miniature" / "models" / "student"
QUESTION = Prompt.user("Why?")
OWN = ("llama-server", "vllm", "sglang", "ollama")
"""Servers of one's own, which say themselves what they are."""


def make(service: Service, **options: Any) -> OpenAIBackend:
    if service.kind not in OWN:
        options = {"service": service.kind, "api_key_env": "TESSY_TEST_KEY", **options}
    if service.kind in ("together", "deepinfra", "fireworks"):
        options = {"tokenizer": str(MODEL), **options}
    return OpenAIBackend("model", OpenAIOptions(**options), url=service.url)


async def read(session: Session, request: Request, most: int | None = None) -> list[Chunk]:
    chunks: list[Chunk] = []
    async with aclosing(session.generate(request)) as stream:
        async for chunk in stream:
            chunks.append(chunk)
            if most is not None and len(chunks) >= most:
                break
    return chunks


def text_of(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


def request(phase: str = "think", *spans: Span, **turn: Any) -> Request:
    return Request(Turn("teacher", phase, **turn), spans, 7, closed=phase == "answer")  # type: ignore[arg-type]


def span(text: str, phase: str = "think", author: str = "student") -> Span:
    return Span(author, phase, text, 0, 1)  # type: ignore[arg-type]
