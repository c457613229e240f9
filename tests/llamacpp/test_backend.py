"""Loading models, and refusing what is none."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from llamacpp.conftest import MODELS, make, read, think
from tessy.errors import BackendError, ConfigError
from tessy.types import Prompt
from tessy_llamacpp.backend import LlamaCppBackend, one_pool
from tessy_llamacpp.options import LlamaCppOptions
from tessy_llamacpp.slots import common_prefix


async def refused(path: Path | str, kind: type[Exception], match: str, **options: object) -> None:
    backend = LlamaCppBackend(str(path), LlamaCppOptions(**options))  # type: ignore[arg-type]
    with pytest.raises(kind, match=match):
        await backend.start()
    await backend.close()


async def test_files_that_are_no_models(tmp_path: Path) -> None:
    await refused(tmp_path / "no.gguf", ConfigError, r"no\.gguf: no such file; --backend llamacpp:PATH")
    await refused(tmp_path, ConfigError, "is a folder")
    (tmp_path / "text.gguf").write_text("hello")
    await refused(tmp_path / "text.gguf", ConfigError, r"text\.gguf: is not a GGUF file")
    whole = (MODELS / "student.gguf").read_bytes()
    (tmp_path / "torn.gguf").write_bytes(whole[: len(whole) // 2])
    await refused(tmp_path / "torn.gguf", BackendError, r"torn\.gguf: llama\.cpp cannot load it")


async def test_a_context_that_does_not_fit_names_the_options() -> None:
    await refused(
        MODELS / "student.gguf", BackendError, r"lower n_ctx= or parallel=", n_ctx=4_000_000, parallel=256
    )


async def test_one_pool_or_many_write_on_where_the_other_model_stopped() -> None:
    for unified in (False, True):
        backend = make("student", parallel=4, kv_unified=unified)
        await backend.start()
        sessions = [backend.session(Prompt.user(f"What is {i} + 39?"), str(i)) for i in range(8)]
        whole = await asyncio.gather(*(read(session, think(max_tokens=12)) for session in sessions))
        assert all(sum(chunk.tokens for chunk in chunks) == 12 for chunks in whole)
        await backend.close()


@pytest.mark.parametrize(
    ("parameters", "cells", "given", "one"),
    [
        (1_000_000, 1 << 12, None, False),
        (1_000_000, 1 << 12, True, True),
        (1 << 30, 1 << 16, None, True),
        (1 << 30, 1 << 17, None, False),
        (1 << 30, 1 << 12, False, False),
    ],
)
def test_one_pool_where_a_pass_over_the_weights_is_dear(
    parameters: int, cells: int, given: bool | None, one: bool
) -> None:
    assert one_pool(parameters, cells, LlamaCppOptions(kv_unified=given)) is one


async def test_templates_by_option() -> None:
    await refused(
        MODELS / "student.gguf", ConfigError, r"did you mean 'chatml-think'", template="chatml-thnk"
    )
    backend = make("student", template="chatml")
    await backend.start()
    assert backend.loaded.format.name == "plain"  # the template alone says whether it thinks
    await backend.close()


async def test_a_file_without_a_template_asks_for_one(tmp_path: Path) -> None:
    data = (MODELS / "student.gguf").read_bytes()
    (tmp_path / "bare.gguf").write_bytes(data.replace(b"tokenizer.chat_template", b"tokenizer.xxxx_template"))
    await refused(tmp_path / "bare.gguf", ConfigError, "has no chat template; give one with template=")


async def test_what_it_says_of_itself() -> None:
    backend = make("teacher", parallel=3, temperature=0.5)
    await backend.start()
    can = backend.capabilities
    assert (can.max_active, can.context, can.continuation, can.seeds) == (3, 1024, True, True)
    identity = backend.identity()
    assert identity["model"] == "teacher.gguf"
    assert identity["sampling"]["temperature"] == 0.5
    assert len(identity["revision"]) == 16
    assert backend.loaded.format.name == "channel"
    assert backend.row_format() == ("<think>\n", "\n</think>\n\n")
    other = make("student")
    await other.start()
    assert other.loaded.format.name == "think"
    assert other.capabilities.vocabulary != can.vocabulary
    await other.close()
    await backend.close()
    with pytest.raises(BackendError, match="is not started"):
        backend.session(Prompt.user("x"), "k")


async def test_a_moved_file_is_the_same_model(tmp_path: Path) -> None:
    shutil.copy(MODELS / "student.gguf", tmp_path / "student.gguf")
    found = []
    for path in (MODELS / "student.gguf", tmp_path / "student.gguf"):
        backend = LlamaCppBackend(str(path), LlamaCppOptions(parallel=1))
        await backend.start()
        found.append(backend.identity())
        await backend.close()
    assert found[0] == found[1]


async def test_many_trajectories_share_a_batch() -> None:
    backend = make("student", parallel=32)
    await backend.start()
    try:
        sessions = [backend.session(Prompt.user(f"What is {i} + {i + 2}?"), str(i)) for i in range(32)]
        await asyncio.gather(*(read(s, think()) for s in sessions))
        assert backend.steps.tokens / backend.steps.calls >= 8
    finally:
        await backend.close()


def test_a_url_is_refused_clearly() -> None:
    with pytest.raises(ConfigError, match="not supported yet"):
        LlamaCppBackend("m", LlamaCppOptions(), url="http://localhost:1")


def test_common_prefix() -> None:
    assert common_prefix([1, 2, 3], [1, 2, 3]) == 3
    assert common_prefix([1, 2, 3], [1, 2]) == 2
    assert common_prefix([1, 2, 3, 4, 5], [1, 2, 9, 4, 5]) == 2
    assert common_prefix([], [1]) == 0
