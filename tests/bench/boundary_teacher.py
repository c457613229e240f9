"""The teacher of detector boundary: a small pretrained encoder, fine-tuned to label words.

It sees both sides of a word.
Its weights are not part of tessy; only what it says about unlabelled text is learnt from.
Matrix products are in bfloat16: three times as fast where the processor has instructions for it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoModel, AutoTokenizer

from tessy.labelling.segments import Segment
from tessy.labelling.words import word_labels, words

BATCH = 16
LAYERS = 4
"""Of the encoder's; the last ones serve sentences, not words."""
LONGEST = 8
"""Pieces of a word that are looked at."""
ROOM = 500
"""Tokens that the encoder takes."""
BREAKS = ("[unused1]", "[unused2]")
"""Stand for a line break and for an empty line, which the encoder's own tokenizer drops."""


class Teacher(nn.Module):
    """Encoder with a vector for each word's case and for line breaks; logits of capability and style."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        # Eager: in bfloat16 on a CPU, torch's fused attention is slow backwards.
        self.encoder = AutoModel.from_pretrained(
            folder, add_pooling_layer=False, attn_implementation="eager", attention_probs_dropout_prob=0.0
        )
        self.encoder.encoder.layer = self.encoder.encoder.layer[:LAYERS]
        self.table = self.encoder.embeddings.word_embeddings
        self.table.weight.requires_grad_(False)
        size = self.encoder.config.hidden_size
        self.case = nn.Embedding(6, size)
        nn.init.zeros_(self.case.weight)
        self.breaks = nn.Embedding(3, size, padding_idx=0)
        nn.init.normal_(self.breaks.weight, std=0.02)
        self.head = nn.Sequential(nn.Dropout(0.1), nn.Linear(size, 2))
        self.marks = [self.tokenizer.convert_tokens_to_ids(name) for name in BREAKS]
        self._pieces: dict[str, list[int]] = {}

    def forward(self, ids: Tensor, case: Tensor, mask: Tensor) -> Tensor:
        one, two = (ids == mark for mark in self.marks)
        x = self.table(ids) + self.case(case) + self.breaks(one.long() + 2 * two.long())
        with torch.autocast("cpu", torch.bfloat16):
            logits = self.head(self.encoder(inputs_embeds=x, attention_mask=mask).last_hidden_state)
        return logits.float()

    def encode(self, text: str) -> tuple[list[int], list[int], list[int]]:
        """Tokens, their case, and where each word's first token stands."""
        ids, case, first, before = [self.tokenizer.cls_token_id], [0], [], 0
        for start, end in words(text):
            lines = text[before:start].count("\n")
            if lines:
                ids.append(self.marks[min(lines, 2) - 1])
                case.append(0)
            first.append(len(ids))
            pieces = self._of(text[start:end])
            ids += pieces
            case += [case_of(text[start:end])] * len(pieces)
            before = end
        return [*ids, self.tokenizer.sep_token_id], [*case, 0], first

    def _of(self, word: str) -> list[int]:
        if word not in self._pieces:
            ids = self.tokenizer(word, add_special_tokens=False)["input_ids"][:LONGEST]
            self._pieces[word] = ids or [self.tokenizer.unk_token_id]
        return self._pieces[word]


def case_of(word: str) -> int:
    letters = [c for c in word if c.isalpha()]
    if not letters:
        return 1 if any(c.isdigit() for c in word) else 2
    if len(letters) > 1 and all(c.isupper() for c in letters):
        return 3
    return 4 if letters[0].isupper() else 5


def tensors(items: Sequence[tuple[list[int], ...]]) -> tuple[Tensor, Tensor, Tensor]:
    pad = nn.utils.rnn.pad_sequence
    ids, case = (pad([torch.tensor(item[i]) for item in items], batch_first=True) for i in (0, 1))
    mask = pad([torch.ones(len(item[0]), dtype=torch.long) for item in items], batch_first=True)
    return ids, case, mask


def train_teacher(
    segments: Sequence[Segment], folder: Path, *, epochs: int, seed: int, log: Callable[[str], Any]
) -> Teacher:
    """Fine-tune an encoder; segments that are too long for it are left out."""
    torch.manual_seed(seed)
    rng = random.Random(seed)
    teacher = Teacher(folder)
    items: list[tuple[list[int], ...]] = []
    for segment in segments:
        gold = [int(style) for style in word_labels(words(segment.text), segment.spans)]
        items.append((*teacher.encode(segment.text), gold))
    items = [item for item in items if len(item[0]) <= ROOM]
    inner = [p for n, p in teacher.named_parameters() if p.requires_grad and n.startswith("encoder.")]
    outer = [p for n, p in teacher.named_parameters() if not n.startswith(("encoder.", "table."))]
    groups = [{"params": inner, "lr": 2e-4}, {"params": outer, "lr": 1e-3}]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.01, fused=True)
    full = [group["lr"] for group in optimizer.param_groups]
    steps, step = epochs * math.ceil(len(items) / BATCH), 0
    for epoch in range(epochs):
        teacher.train()
        total = 0.0
        for batch in batches(items, rng):
            for group, rate in zip(optimizer.param_groups, full, strict=True):
                group["lr"] = rate * min(1, (step + 1) / 60) * max(0.02, 1 - step / steps)
            ids, case, mask = tensors(batch)
            gold = torch.full(ids.shape, -100)
            for row, item in enumerate(batch):
                gold[row, torch.tensor(item[2])] = torch.tensor(item[3])
            hidden = (torch.rand(ids.shape) < 0.05) & (gold == 0)
            ids = ids.masked_fill(hidden, teacher.tokenizer.mask_token_id)
            logits = teacher(ids, case, mask)
            loss = functional.cross_entropy(logits.flatten(0, 1), gold.flatten(), ignore_index=-100)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_([*inner, *outer], 1.0)
            optimizer.step()
            step, total = step + 1, total + loss.item()
        log(f"teacher, epoch {epoch + 1} of {epochs}: loss {total * epochs / steps:.4f}")
    return teacher.eval()


def batches(items: Sequence[Any], rng: random.Random) -> list[list[Any]]:
    """In random batches of about equal lengths."""
    order = rng.sample(range(len(items)), len(items))
    result = []
    for i in range(0, len(order), BATCH * 20):
        near = sorted(order[i : i + BATCH * 20], key=lambda k: len(items[k][0]))
        result += [[items[k] for k in near[j : j + BATCH]] for j in range(0, len(near), BATCH)]
    rng.shuffle(result)
    return result


@torch.no_grad()
def probabilities(teacher: Teacher, texts: Sequence[str]) -> list[list[float]]:
    """How likely each word (between white space) of each text is style."""
    items = [teacher.encode(text) for text in texts]
    result: list[list[float]] = [[] for _ in texts]
    order = sorted((i for i in range(len(items)) if len(items[i][0]) <= ROOM), key=lambda i: len(items[i][0]))
    for k in range(0, len(order), BATCH):
        some = order[k : k + BATCH]
        logits = teacher(*tensors([items[i] for i in some]))
        for i, row in zip(some, logits, strict=True):
            result[i] = row[torch.tensor(items[i][2])].softmax(-1)[:, 1].tolist()
    return result
