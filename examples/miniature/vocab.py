"""Trains the two byte-level BPE vocabularies.

Pre-tokenization is Qwen2's, so that GGUF readers know it as "qwen2": digits stand alone, a
word keeps the space before it. All 256 bytes are in, so any text can be encoded.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chat import FORMATS, sample_example
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

__all__ = ["VOCABULARY_SIZES", "save_tokenizer", "train_tokenizer"]

VOCABULARY_SIZES = {"teacher": 416, "student": 608}

_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def train_tokenizer(role: str, *, seed: int = 0, examples: int = 4000) -> Tokenizer:
    """Learn the vocabulary of "teacher" or "student" from what that model reads and writes."""
    form = FORMATS[role]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZES[role] - len(form.control) - len(form.added),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(role, random.Random(seed), examples), trainer)
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in form.control])
    tokenizer.add_tokens([AddedToken(t, special=False, normalized=False) for t in form.added])
    return tokenizer


def save_tokenizer(role: str, tokenizer: Tokenizer, folder: Path) -> None:
    """Write tokenizer.json, tokenizer_config.json and chat_template.jinja."""
    form = FORMATS[role]
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    added: dict[str, Any] = {
        str(tokenizer.token_to_id(token)): {
            "content": token,
            "lstrip": False,
            "normalized": False,
            "rstrip": False,
            "single_word": False,
            "special": token in form.control,
        }
        for token in form.control + form.added
    }
    config = {
        "add_bos_token": False,
        "added_tokens_decoder": added,
        "bos_token": None,
        "chat_template": form.template,
        "clean_up_tokenization_spaces": False,
        "eos_token": form.eos,
        "model_max_length": 2048,
        "pad_token": form.pad,
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": None,
    }
    text = json.dumps(config, indent=2, ensure_ascii=False)
    (folder / "tokenizer_config.json").write_text(text + "\n", encoding="utf-8")
    (folder / "chat_template.jinja").write_text(form.template, encoding="utf-8")


def _texts(role: str, rng: random.Random, examples: int) -> Iterator[str]:
    form = FORMATS[role]
    for _ in range(examples):
        example = sample_example(form, rng, mixed_share=0.2)
        parts = [m["role"] + "\n" + m["content"] for m in example.messages]
        parts += [form.opens, example.trace.thinking, form.closes, example.trace.answer]
        for part in parts:
            # A line break is never merged with what stands before it: text cut after a
            # sentence then has the same tokens as text that goes on with a new line.
            yield from re.split(r"(\n+)", re.sub(r"<[^ >]*>", "\n", part))
