"""``python -m tessy.testing.simulated``: serve until interrupted; a line ``URL MODEL`` for each model."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack, ExitStack
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tessy.remote.files import raise_file_limit
from tessy.testing.simulated.engine import Clock
from tessy.testing.simulated.model import Lengths, Speed
from tessy.testing.simulated.records import Log
from tessy.testing.simulated.server import SimulatedServer

__all__: list[str] = []

_FILES = 16_384
_HELP = {
    "first": "mean seconds to the first token of a cached prompt",
    "first_spread": "sigma of the logarithm of that",
    "prefill": "prompt tokens a second that are not cached, of one request",
    "prefill_all": "the same of all requests together; inf: none is delayed by another's prompt",
    "token": "seconds between two tokens of a sequence",
    "batch": "sequences that are decoded at that speed",
    "seats": "sequences at once; others wait",
    "linger": "seconds that a stream goes on that nobody reads any more; inf: to its end",
    "thinking": "mean tokens of a thinking",
    "answer": "mean tokens of an answer",
    "spread": "sigma of the logarithms of both",
    "style": "mean tokens of a style span",
    "capability": "mean tokens of a capability span",
    "span_spread": "sigma of the logarithms of both",
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tessy.testing.simulated",
        description="OpenAI-compatible servers with a stated model of their speed; prints URL and MODEL",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--model", action="append", help="a model's name; repeatable, each gets a port")
    parser.add_argument("--host", default="127.0.0.1", help="address to serve at")
    parser.add_argument(
        "--port", type=int, default=0, help="the first model's; others follow; 0: any free one"
    )
    parser.add_argument("--seed", type=int, default=0, help="of texts, lengths and times")
    parser.add_argument("--scale", type=float, default=1.0, help="the model's seconds in a real one")
    parser.add_argument("--cache-tokens", type=int, help="room of each prefix cache; without it no limit")
    parser.add_argument("--context", type=int, default=65_536, help="tokens that a sequence may have")
    parser.add_argument("--log", type=Path, help="file for a line of JSON a request, as it ends")
    parser.add_argument("--until-stdin-ends", action="store_true", help="stop with whoever started it")
    for title, part in (("how fast it is", Speed()), ("how long texts are", Lengths())):
        group = parser.add_argument_group(title)
        for field in fields(part):
            value = getattr(part, field.name)
            option = f"--{field.name.replace('_', '-')}"
            group.add_argument(option, type=type(value), default=value, help=_HELP[field.name])
    return parser


def _part(kind: type[Any], options: argparse.Namespace) -> Any:
    return kind(**{field.name: getattr(options, field.name) for field in fields(kind)})


async def _serve(options: argparse.Namespace) -> None:
    raise_file_limit(_FILES)
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    clock = Clock(options.scale)
    if options.until_stdin_ends:
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), _stop_at_end, ended)
    with ExitStack() as files:
        folder = Path(files.enter_context(TemporaryDirectory(prefix="tessy-simulated-")))
        file = files.enter_context(options.log.open("ab")) if options.log else None
        async with AsyncExitStack() as servers:
            for i, name in enumerate(options.model or ["simulated"]):
                server = SimulatedServer(
                    name,
                    folder / str(i),
                    speed=_part(Speed, options),
                    lengths=_part(Lengths, options),
                    seed=options.seed,
                    hand=i % 2,
                    clock=clock,
                    capacity=options.cache_tokens,
                    context=options.context,
                    log=Log(file),
                )
                servers.push_async_callback(server.stop)
                url = await server.start(options.port + i if options.port else 0, options.host)
                print(url, name, flush=True)
            await ended.wait()


def _stop_at_end(ended: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 1024):
        ended.set()


def _main() -> None:
    # On asyncio's own loop: uvloop is quicker, but its clock has milliseconds only.
    asyncio.run(_serve(_parser().parse_args()))


if __name__ == "__main__":
    _main()
