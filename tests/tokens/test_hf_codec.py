"""A tokenizer's file read without transformers says what llama.cpp says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.errors import ConfigError
from tessy.tokens.files import load_model_files
from tessy.tokens.hf import HfCodec

MODELS = Path(__file__).parents[2] / "examples" / "miniature" / "models"
STUDENT = load_model_files(str(MODELS / "student"))
TEACHER = load_model_files(str(MODELS / "teacher"))


def tokenizer(**changes: Any) -> str:
    data = json.loads((MODELS / "student" / "tokenizer.json").read_text())
    return json.dumps({**data, **changes})


@given(st.text())
def test_text_comes_back_and_commands_nothing(text: str) -> None:
    for files in (STUDENT, TEACHER):
        ids = files.codec.encode(text)
        assert files.codec.decode(ids).decode() == text
        assert not set(ids) & set(files.codec._special)


@given(st.lists(st.sampled_from([*sorted(STUDENT.codec.controls), "a", " ", "<", "\n"])).map("".join))
def test_text_that_spells_control_strings_is_only_text(text: str) -> None:
    assert STUDENT.codec.decode(STUDENT.codec.encode(text)).decode() == text


def test_control_text_becomes_control_tokens() -> None:
    ids = STUDENT.codec.encode_control("<|im_start|>user\n<think>")
    assert STUDENT.codec.token_text(ids[0]) == "<|im_start|>"
    assert STUDENT.codec.token_text(ids[-1]) == "<think>"
    assert STUDENT.codec.piece(ids[-1]) == b""


@pytest.mark.engine
@pytest.mark.parametrize("name", ["teacher", "student"])
def test_the_same_as_llama_cpp(name: str) -> None:
    pytest.importorskip("llama_cpp", reason="the extra 'llamacpp' is not installed")
    from tessy_llamacpp.model import Model

    model = Model(MODELS / f"{name}.gguf", 0)
    codec = load_model_files(str(MODELS / name)).codec
    assert codec.size == model.n_vocab
    assert [codec.piece(i) for i in range(codec.size)] == [model.piece(i) for i in range(model.n_vocab)]
    for text in ("Hmm, wait. 12 + 7 = 19.\n\nSo", "<think>x</think>", " é🎉 ~", "  b\n", "<|im_end|>"):
        assert codec.encode(text) == model.encode(text)
        assert codec.encode_control(text) == model.encode_control(text)
    model.close()


def test_what_a_folder_holds() -> None:
    assert STUDENT.format().name == "think"
    assert TEACHER.format().name == "channel"
    assert STUDENT.generation["temperature"] == 0.6
    assert {STUDENT.codec.token_text(i) for i in STUDENT.codec.ends} == {"<|im_end|>"}
    assert STUDENT.codec.vocabulary != TEACHER.codec.vocabulary


def sentencepiece() -> str:
    """A tokenizer as Llama 2 has it: a space before every text, bytes for what it does not know."""
    vocab = {"<unk>": 0, "<s>": 1, "</s>": 2}
    for byte in range(256):
        vocab[f"<0x{byte:02X}>"] = len(vocab)
    for text in ("\u2581", "a", "b", "\u2581a", "ab", "\u2581ab"):
        vocab[text] = len(vocab)
    return json.dumps(
        {
            "version": "1.0",
            "added_tokens": [
                {"id": i, "content": text, "single_word": False, "lstrip": False, "rstrip": False,
                 "normalized": False, "special": True}
                for text, i in (("<unk>", 0), ("<s>", 1), ("</s>", 2))
            ],
            "normalizer": {
                "type": "Sequence",
                "normalizers": [
                    {"type": "Prepend", "prepend": "\u2581"},
                    {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"},
                ],
            },
            "pre_tokenizer": None,
            "post_processor": None,
            "decoder": {
                "type": "Sequence",
                "decoders": [
                    {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
                    {"type": "ByteFallback"},
                    {"type": "Fuse"},
                    {"type": "Strip", "content": " ", "start": 1, "stop": 0},
                ],
            },
            "model": {
                "type": "BPE", "dropout": None, "unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True,
                "ignore_merges": False, "vocab": vocab,
                "merges": [["\u2581", "a"], ["a", "b"], ["\u2581", "ab"]],
            },
        }
    )  # fmt: skip


@given(st.text())
def test_sentencepiece_fragments_get_no_space_of_their_own(text: str) -> None:
    codec = HfCodec(sentencepiece(), ends=[2])
    assert codec.decode(codec.encode(text)).decode() == text.replace("\u2581", " ")


def test_runs_of_spaces_that_were_added_are_text() -> None:
    data = json.loads(tokenizer())
    added = [
        *data["added_tokens"],
        {**data["added_tokens"][0], "id": 900, "content": "    ", "special": False},
    ]
    codec = HfCodec(json.dumps({**data, "added_tokens": added}))
    assert codec.piece(900) == b"    "
    assert "    " not in codec.controls


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{}", "is not a tokenizer"),
        ("rubbish", "is not a tokenizer"),
        (tokenizer(decoder=None), "does not join tokens into text"),
    ],
)
def test_what_is_no_tokenizer_is_refused(source: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        HfCodec(source)


def test_a_folder_without_tokenizer_or_template(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no tokenizer\.json"):
        load_model_files(str(tmp_path))
    (tmp_path / "tokenizer.json").write_text(tokenizer())
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": {"content": "<|im_end|>"}}')
    files = load_model_files(str(tmp_path))
    assert files.eos_token == "<|im_end|>"
    assert len(files.codec.ends) == 1
    with pytest.raises(ConfigError, match="has no chat template"):
        files.format()
    assert files.format("qwen3").name == "think"
    (tmp_path / "tokenizer_config.json").write_text(
        '{"chat_template": [{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}]}'
    )
    assert load_model_files(str(tmp_path)).template == "D"
    (tmp_path / "tokenizer_config.json").write_text("{")
    with pytest.raises(ConfigError, match="is not JSON"):
        load_model_files(str(tmp_path))


def test_a_folder_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match=r"no such model folder; .*tokenizer="):
        load_model_files("/nowhere/model")
