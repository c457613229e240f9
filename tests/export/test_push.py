"""``--push`` against a local stand-in for the hub: the real client, real HTTP."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tessy.rundata import RunData
from tessy.testing.simulated import wire

pytest.importorskip("huggingface_hub")
TOKEN = "hf_canary4417"


class Hub:
    """What of the hub's HTTP interface its client uses to make a data set and upload files."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.refuses = refuses
        self.created: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}
        self.sent: dict[str, bytes] = {}
        self.url = ""

    def app(self) -> web.Application:
        app = web.Application(client_max_size=1 << 28)
        app.router.add_post("/api/repos/create", self.create)
        app.router.add_post("/api/validate-yaml", self.validate)
        app.router.add_post("/api/datasets/{org}/{name}/preupload/{revision}", self.preupload)
        app.router.add_post("/api/datasets/{org}/{name}/commit/{revision}", self.commit)
        app.router.add_get("/api/datasets/{org}/{name}", self.info)
        app.router.add_get("/api/datasets/{org}/{name}/revision/{revision}", self.info)
        app.router.add_post("/datasets/{org}/{name}.git/info/lfs/objects/batch", self.batch)
        app.router.add_put("/lfs/{oid}", self.put)
        return app

    async def create(self, request: web.Request) -> web.Response:
        if (refused := self._key(request)) is not None:
            return refused
        self.created.append(await request.json())
        return web.json_response({"url": f"{self.url}/datasets/lab/traces", "name": "lab/traces"})

    def _key(self, request: web.Request) -> web.Response | None:
        if self.refuses or request.headers.get("Authorization") != f"Bearer {TOKEN}":
            given = request.headers.get("Authorization")
            return web.json_response({"error": f"Invalid credentials: {given}"}, status=401)
        return None

    async def validate(self, request: web.Request) -> web.Response:
        return web.json_response({"errors": [], "warnings": []})

    async def info(self, request: web.Request) -> web.Response:
        return web.json_response({"id": "lab/traces", "sha": "0" * 40, "private": True, "siblings": []})

    async def preupload(self, request: web.Request) -> web.Response:
        if (refused := self._key(request)) is not None:
            return refused
        asked = (await request.json())["files"]
        return web.json_response(
            {"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in asked]}
        )

    async def batch(self, request: web.Request) -> web.Response:
        asked = await request.json()
        actions = [
            {
                "oid": o["oid"],
                "size": o["size"],
                "actions": {"upload": {"href": f"{self.url}/lfs/{o['oid']}"}},
            }
            for o in asked["objects"]
        ]
        return web.json_response({"transfer": "basic", "objects": actions})

    async def put(self, request: web.Request) -> web.Response:
        self.sent[request.match_info["oid"]] = await request.read()
        return web.Response()

    async def commit(self, request: web.Request) -> web.Response:
        for line in (await request.text()).splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                self.files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                self.files[value["path"]] = self.sent[value["oid"]]
                assert hashlib.sha256(self.files[value["path"]]).hexdigest() == value["oid"]
        return web.json_response(
            {"commitUrl": f"{self.url}/datasets/lab/traces/commit/1", "commitOid": "1" * 40, "success": True}
        )


@asynccontextmanager
async def serving(hub: Hub) -> AsyncIterator[Hub]:
    runner, hub.url = await wire.serve(hub.app())
    try:
        yield hub
    finally:
        await runner.cleanup()


async def push(hub: Hub, run: RunData, output: Path, *flags: str) -> tuple[int, str, str]:
    command = ["-m", "tessy", "export", str(run.folder), "-o", str(output), "--push", "lab/traces", *flags]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command,
        env={**os.environ, "HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "HF_HUB_DISABLE_TELEMETRY": "1",
             "HF_HUB_DISABLE_XET": "1"},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 120)
    return process.returncode or 0, out.decode(), err.decode()


@pytest.mark.parametrize("public", [False, True])
async def test_all_files_are_uploaded(run: RunData, tmp_path: Path, public: bool) -> None:
    async with serving(Hub()) as hub:
        code, out, err = await push(hub, run, tmp_path / "out", *(["--public"] if public else []))
    assert code == 0, err
    assert f"uploaded: {hub.url}/datasets/lab/traces" in out
    (made,) = hub.created
    assert (made["type"], made["organization"], made["name"]) == ("dataset", "lab", "traces")
    private = made["private"] if "private" in made else made["visibility"] == "private"  # by its version
    assert private is not public
    assert hub.files == {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert TOKEN not in out + err


async def test_a_refusal_keeps_the_export_and_says_why(run: RunData, tmp_path: Path) -> None:
    async with serving(Hub(refuses=True)) as hub:
        code, out, err = await push(hub, run, tmp_path / "out")
    assert code == 1
    assert "--push lab/traces" in err
    assert "the export is complete in" in err
    assert "Traceback" not in err
    assert (tmp_path / "out" / "train.jsonl").exists()
    assert TOKEN not in out + err


def test_what_is_no_name_is_refused_before_anything_is_written(run: RunData, tmp_path: Path) -> None:
    from cli.shell import tessy

    found = tessy("export", run.folder, "-o", tmp_path / "out", "--push", "traces", code=2)
    assert "write ORG/NAME" in found.stderr
    found = tessy("export", run.folder, "-o", tmp_path / "out.jsonl", "--push", "lab/traces", code=2)
    assert "is one file" in found.stderr
    assert list(tmp_path.iterdir()) == []
