"""A key is in nothing that a command writes or prints, though the server quotes it in every error."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from helpers import write_prompts
from openai_standin import KEY as ACCEPTED
from openai_standin import Service, serving

KEY = "canary-7d20e4b1"


async def nothing_told(
    commands: list[list[object]], key: str, environ: dict[str, str], run: Path
) -> list[int]:
    """Run the commands; the key is in nothing that they print or leave. Their exit codes."""
    codes = []
    for command in commands:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tessy", *map(str, command),
            env={**os.environ, "TESSY_DEBUG": "1", "PYTHONASYNCIODEBUG": "1", **environ},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        out, err = await asyncio.wait_for(process.communicate(), 120)
        assert key.encode() not in out + err, command
        codes.append(process.returncode or 0)
    for path in run.rglob("*"):  # noqa: ASYNC240 – nothing else runs here
        assert path.is_dir() or key.encode() not in path.read_bytes(), path
    return codes


@pytest.mark.parametrize("source", ["env", "file"])
@pytest.mark.parametrize("backend", ["openai", "vllm"])
@pytest.mark.parametrize("lists", [True, False], ids=["fails-writing", "fails-at-once"])
async def test_a_key_is_told_nowhere(tmp_path: Path, backend: str, source: str, lists: bool) -> None:
    quoted = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal quoted
        quoted += KEY in str(request.headers)
        if lists and request.path.endswith("/models"):
            return web.json_response({"object": "list", "data": [{"id": "m", "object": "model"}]})
        return web.json_response({"error": {"message": f"no: {dict(request.headers)}"}}, status=400)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    server = TestServer(app)
    await server.start_server()
    private = tmp_path / "private" / "key"
    private.parent.mkdir()
    private.touch(mode=0o600)
    private.write_text(KEY)
    given = f"api_key_file={private}" if source == "file" else "api_key_env=CANARY"
    spec = f"{backend}:m@http://127.0.0.1:{server.port}/v1?{given}"
    prompts, run = write_prompts(tmp_path / "p.jsonl", 2), tmp_path / "run"
    commands = [
        ["--debug", "run", prompts, "-o", run, "--teacher", spec, "--student", spec],
        ["--debug", "run", prompts, "-o", run, "--teacher", spec, "--student", spec, "--json"],
        ["--debug", "doctor", spec],
        ["--debug", "doctor", spec, "--json"],
        ["show", run],
    ]
    try:
        codes = await nothing_told(commands, KEY, {"CANARY": KEY} if source == "env" else {}, run)
    finally:
        await server.close()
    assert quoted
    assert codes[0] != 0
    assert codes[1] != 0


async def test_a_key_is_told_nowhere_by_a_run_that_works(tmp_path: Path) -> None:
    """Its first requests are refused with all headers quoted: as an error, as HTML, in a stream."""
    quoted = []

    async def refuse(request: web.Request) -> web.Response:
        quoted.append(request.headers["Authorization"])
        text = {"error": {"message": f"no: {dict(request.headers)}"}}
        return web.json_response(text, status=(400, 500)[len(quoted) % 2])

    async def page(request: web.Request) -> web.Response:
        quoted.append(request.headers["Authorization"])
        return web.Response(text=f"<html>{dict(request.headers)}</html>", content_type="text/html")

    async def stream(request: web.Request) -> web.Response:
        quoted.append(request.headers["Authorization"])
        event = json.dumps({"error": {"message": f"{dict(request.headers)}", "code": 400}})
        return web.Response(text=f"data: {event}\n\n", content_type="text/event-stream")

    run = tmp_path / "run"
    async with serving(Service("deepseek", faults=[refuse, page, stream, refuse])) as service:
        spec = f"openai:model@{service.url}?api_key_env=CANARY&continuation=prefix&service=deepseek"
        write = ["--debug", "run", write_prompts(tmp_path / "p.jsonl", 4), "-o", run]
        write += ["--teacher", spec, "--student", "scripted:s?think=30", "--detector", "lexicon"]
        commands = [
            write,
            [*write, "--retry-failed", "--json"],
            ["--debug", "doctor", spec, "--json"],
            ["show", run],
        ]
        codes = await nothing_told(commands, ACCEPTED, {"CANARY": ACCEPTED}, run)
    assert all(ACCEPTED in header for header in quoted)
    assert len(quoted) == 4
    assert codes == [3, 0, 0, 0]
