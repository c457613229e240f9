"""Tokenizers told apart by how they count."""

from __future__ import annotations

from pathlib import Path

import pytest

from tessy.testing import ScriptedBackend
from tessy.tokens.files import load_model_files
from tessy.tokens.signature import alike, signature

MODELS = Path(__file__).parents[2] / "examples" / "miniature" / "models"


def of_folder(name: str) -> list[int]:
    codec = load_model_files(str(MODELS / name)).codec
    found = signature(lambda text: len(codec.encode(text)))
    assert found is not None
    return found


@pytest.mark.engine
async def test_one_model_in_two_engines_is_alike_and_two_models_are_not() -> None:
    pytest.importorskip("llama_cpp", reason="the extra 'llamacpp' is not installed")
    from tessy_llamacpp.backend import LlamaCppBackend
    from tessy_llamacpp.options import LlamaCppOptions

    backend = LlamaCppBackend(str(MODELS / "student.gguf"), LlamaCppOptions(n_ctx=64, parallel=1))
    await backend.start()
    try:
        gguf = signature(backend.count_tokens)
    finally:
        await backend.close()
    assert gguf is not None
    assert alike(gguf, of_folder("student"))
    assert not alike(gguf, of_folder("teacher"))
    words = signature(ScriptedBackend().count_tokens)
    assert words is not None
    assert not alike(gguf, words)


def test_a_backend_that_does_not_count_has_none() -> None:
    assert signature(lambda text: None) is None
    assert signature(lambda text: None if "∀" in text else len(text)) is None


def test_few_strings_may_differ() -> None:
    ours = of_folder("student")
    assert alike(ours, [ours[0] + 1, ours[1] - 1, *ours[2:]])
    assert not alike(ours, [ours[0] + 1, ours[1] - 1, ours[2] + 1, *ours[3:]])
    assert not alike(ours, ours[:-1])
