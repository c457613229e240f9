"""Tiny token classifiers, made and trained in seconds, that tell talk from sums."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    BertConfig,
    BertForTokenClassification,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForTokenClassification,
)

TALK = ("Okay,", "hmm,", "wait,", "let me see,", "so", "maybe", "but", "I think", "now", "等等", "所以，")
# As Qwen's: a space goes with the word behind it, newlines with the punctuation before them.
_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def spans(rng: random.Random, count: int) -> list[tuple[str, bool]]:
    """Talk that ends in a colon, a sum that ends in a full stop, and so on; with whether it is style."""
    found: list[tuple[str, bool]] = []
    for _ in range(count):
        talk = " ".join(rng.choice(TALK) for _ in range(rng.randint(1, 5)))
        a, b = rng.randrange(1000), rng.randrange(1000)
        total = rng.choice((f"{a} + {b} = {a + b}", f"{a} * 2 = {2 * a}", f"{a} 等于 {a}"))
        found.append((f"{rng.choice((' ', ' ', chr(10)))}{talk}:", True))
        found.append((f" {total}.", False))
    found[0] = (found[0][0].lstrip(), True)
    return found


def text(seed: int, count: int = 20) -> tuple[str, list[bool]]:
    """A text of that many pairs, and for every character whether it is style."""
    rng = random.Random(seed)
    parts = spans(rng, count)
    return "".join(part for part, _ in parts), [style for part, style in parts for _ in part]


def tokenizer() -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=420, special_tokens=["<|end|>"], initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator((text(seed)[0] for seed in range(100)), trainer)
    return made


def save(model: Any, made: Tokenizer, folder: Path) -> Path:
    model.save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|end|>").save_pretrained(folder)
    return folder


def qwen(folder: Path, *, shift: int = 1, style: int = 1, steps: int = 120) -> Path:
    """A Qwen3 token classifier of two layers."""
    made = tokenizer()
    config = Qwen3Config(
        vocab_size=made.get_vocab_size(),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=1024,
        num_labels=2,
        pad_token_id=0,
    )
    torch.manual_seed(0)
    model = Qwen3ForTokenClassification(config)
    _train(model, made, shift=shift, style=style, steps=steps)
    return save(model, made, folder)


def bert(folder: Path, *, steps: int = 60) -> Path:
    """A bidirectional one, with labels that have names."""
    made = tokenizer()
    config = BertConfig(
        vocab_size=made.get_vocab_size(),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=128,
        id2label={0: "style", 1: "capability"},
        label2id={"style": 0, "capability": 1},
    )
    torch.manual_seed(0)
    model = BertForTokenClassification(config)
    _train(model, made, shift=0, style=0, steps=steps)
    return save(model, made, folder)


def _train(model: Any, made: Tokenizer, *, shift: int, style: int, steps: int) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    model.train()
    for step in range(steps):
        rows = [_example(made, 16 * step + i, shift, style) for i in range(16)]
        ids, labels = torch.tensor([row[0] for row in rows]), torch.tensor([row[1] for row in rows])
        model(input_ids=ids, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.eval()


def _example(made: Tokenizer, seed: int, shift: int, style: int) -> tuple[Sequence[int], list[int]]:
    whole, truth = text(seed, 12)
    found = made.encode(whole)
    labels = [style if truth[start] else 1 - style for start, _ in found.offsets]
    begin = random.Random(seed).randrange(40)
    return found.ids[begin : begin + 64], labels[begin + shift : begin + shift + 64]
