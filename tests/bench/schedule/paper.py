"""The paper's schedule (TESSY, arXiv 2604.14164, section 3) over real sockets, written from its description.

All active traces step together: each asks its model for so many tokens, all wait for the slowest, then each
draft is cut where the other's part begins. The answer is a step like any other. It is given a detector that
costs nothing and is never wrong, prompts in token ids, and a free place is filled in the next round.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from bench.schedule.virtual import Steps
from tessy.testing.scripted import STYLE_WORDS

__all__ = ["write"]

_STYLE = frozenset(STYLE_WORDS)


@dataclass(slots=True)
class _Sample:
    """One trace: all ids so far, who writes, whether its thinking is over, and whether all is."""

    ids: list[int]
    role: str = "student"
    answers: bool = False
    done: bool = False


async def write(urls: Mapping[str, str], prompts: Sequence[str], slots: int, steps: Steps) -> int:
    """Write all; the number of rounds."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        close, line = [await _ids(http, urls["student"], text) for text in ("</think>", "\n\n")]
        waiting = iter(prompts)
        active: list[_Sample] = []
        rounds = 0
        while True:
            while len(active) < slots and (prompt := next(waiting, None)) is not None:
                text = f"<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n<think>\n"
                active.append(_Sample(await _ids(http, urls["student"], text)))
            if not active:
                return rounds
            await asyncio.gather(*(_step(http, urls, one, steps, [*close, *line]) for one in active))
            rounds += 1
            active = [one for one in active if not one.done]


async def _step(
    http: aiohttp.ClientSession,
    urls: Mapping[str, str],
    sample: _Sample,
    steps: Steps,
    closing: Sequence[int],
) -> None:
    role = sample.role
    body: dict[str, Any] = {"model": role, "prompt": sample.ids, "return_token_ids": True, "stream": False}
    body["max_tokens"] = 1 << 15 if sample.answers else steps.of(role)
    body["skip_special_tokens"] = False
    if not sample.answers:
        body["stop_token_ids"] = [closing[0]]
    async with http.post(f"{urls[role]}/v1/completions", json=body) as answer:
        answer.raise_for_status()
        choice = (await answer.json())["choices"][0]
    ids: list[int] = choice["token_ids"]
    if sample.answers:
        sample.done = True
        return
    ended = choice["finish_reason"] == "stop"
    if ended:
        ids = ids[:-2]  # the line break before the mark, and the mark
    words = choice["text"].split(" ")
    words = [word for word in words if word][: len(ids)]
    mine = [(word.strip() in _STYLE) == (role == "student") for word in words]
    cut = mine.index(False) if False in mine else len(words)
    sample.ids += ids[:cut]
    if cut < len(words):
        sample.role = "teacher" if role == "student" else "student"
    elif ended:
        sample.answers, sample.role = True, "student"
        sample.ids += [10, *closing]  # a line break, the mark, and what stands before an answer


async def _ids(http: aiohttp.ClientSession, url: str, text: str) -> list[int]:
    async with http.post(f"{url}/tokenize", json={"prompt": text}) as answer:
        found: list[int] = (await answer.json())["tokens"]
        return found
