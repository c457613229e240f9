"""The model families of the golden tests: published templates and vocabularies, and what is known of them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import pytest
from tokenizers import Tokenizer

from golden.fetch import FOLDER, missing
from tessy.formats import ChatFormat, detect
from tessy.formats.template import DATE
from tessy.tokens.hf import HfCodec

CACHE = Path(os.environ.get("TESSY_GOLDEN", FOLDER))
absent = missing(CACHE)
golden = [
    pytest.mark.golden,
    pytest.mark.skipif(
        bool(absent),
        reason=f"python tests/golden/fetch.py has not run: {len(absent)} files are not in the cache",
    ),
]

# Names that models made from another's vocabulary gave its tokens, where their own file could not be had.
# DeepSeek-R1's is DeepSeek-V3's; those of the distills are Qwen2.5's and Llama-3.1's.
_RENAMED: dict[str, tuple[str, dict[int, str]]] = {
    "deepseek-r1": ("deepseek", {128798: "<think>", 128799: "</think>"}),
    "distill-qwen": (
        "qwen3",
        {
            151643: "<｜end▁of▁sentence｜>",
            151644: "<｜User｜>",
            151645: "<｜Assistant｜>",
            151646: "<｜begin▁of▁sentence｜>",
            151647: "<|EOT|>",
            151648: "<think>",
            151649: "</think>",
            151667: "<|unused_0|>",
            151668: "<|unused_1|>",
        },
    ),
    "distill-llama": (
        "llama3",
        {
            128000: "<｜begin▁of▁sentence｜>",
            128001: "<｜end▁of▁sentence｜>",
            128011: "<｜User｜>",
            128012: "<｜Assistant｜>",
            128013: "<think>",
            128014: "</think>",
        },
    ),
}
# What their generation_config.json lists; gpt-oss: <|return|>, <|endoftext|>, <|call|>.
_ENDS: dict[str, frozenset[int]] = {
    "qwen3": frozenset({151645, 151643}),
    "gpt-oss": frozenset({200002, 199999, 200012}),
    "llama3": frozenset({128001, 128009}),
    "deepseek": frozenset({1}),
    "deepseek-r1": frozenset({1}),
    "distill-qwen": frozenset({151643}),
    "distill-llama": frozenset({128001}),
}
_DEEPSEEK = {"bos_token": "<｜begin▁of▁sentence｜>", "eos_token": "<｜end▁of▁sentence｜>"}
_LLAMA = {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"}


@dataclass(frozen=True)
class Family:
    """What detection must find.

    Attributes:
        template: a file of the cache; of a ``tokenizer_config.json``, its template.
        vocabulary: whose tokenizer.
        end: the control string behind an answer.
        tokens: as the template is told them.
        asks: what the reference is told besides; copies made for llama.cpp close the thinking otherwise.
        exact: whether ``vocabulary`` is this model's; else it only lends its control strings.
    """

    template: str
    vocabulary: str
    format: str
    open: str = ""
    answer_open: str = ""
    close: str = ""
    end: str = ""
    tokens: Mapping[str, str] = field(default_factory=dict)
    asks: Mapping[str, Any] = field(default_factory=dict)
    exact: bool = True

    @property
    def source(self) -> str:
        """The published Jinja text."""
        path = CACHE / self.template
        text = path.read_text(encoding="utf-8")
        return str(json.loads(text)["chat_template"]) if path.suffix == ".json" else text

    def detected(self, today: date = DATE) -> ChatFormat:
        """What tessy makes of it."""
        return detect(
            self.source,
            **self.tokens,
            controls=codec(self.vocabulary).controls,
            name=self.template,
            today=today,
        )

    def reference(
        self, messages: list[dict[str, str]], *, generate: bool = True, today: date = DATE, **asks: Any
    ) -> str:
        """The conversation as plain jinja2 renders it, set up as transformers does."""
        environment = jinja2.Environment(  # noqa: S701 – writes prompts, not HTML
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.globals["strftime_now"] = datetime.combine(today, time()).strftime
        environment.globals["raise_exception"] = _raise
        told = {**self.asks, **asks, **self.tokens}
        return environment.from_string(self.source).render(
            messages=messages, tools=None, documents=None, add_generation_prompt=generate, **told
        )


_OPENED = {"open": "", "answer_open": "\n</think>\n\n", "close": "\n</think>\n\n"}
_NOT_OPENED = {"open": "<think>\n", "answer_open": "<think>\n\n</think>\n\n", "close": "\n</think>\n\n"}
_T = "templates/"
FAMILIES: dict[str, Family] = {
    "qwen3": Family(f"{_T}Qwen-Qwen3-0.6B.jinja", "qwen3", "think", **_NOT_OPENED, end="<|im_end|>"),
    "qwen3-config": Family("qwen3/tokenizer_config.json", "qwen3", "think", **_NOT_OPENED, end="<|im_end|>"),
    "qwen3.5": Family(f"{_T}Qwen3.5-4B.jinja", "qwen3", "think", **_OPENED, end="<|im_end|>", exact=False),
    "qwq": Family(
        f"{_T}Qwen-QwQ-32B.jinja",
        "qwen3",
        "think",
        **_OPENED,
        end="<|im_end|>",
        asks={"enable_thinking": True},
        exact=False,
    ),
    "qwen3-coder": Family(f"{_T}Qwen3-Coder.jinja", "qwen3", "plain", end="<|im_end|>"),
    "qwen2.5": Family(f"{_T}Qwen-Qwen2.5-7B-Instruct.jinja", "qwen3", "plain", end="<|im_end|>", exact=False),
    "deepseek-r1": Family(
        f"{_T}deepseek-ai-DeepSeek-R1-Distill-Llama-8B.jinja",
        "deepseek-r1",
        "think",
        **_OPENED,
        end="<｜end▁of▁sentence｜>",
        tokens=_DEEPSEEK,
    ),
    "distill-llama": Family(
        f"{_T}deepseek-ai-DeepSeek-R1-Distill-Llama-8B.jinja",
        "distill-llama",
        "think",
        **_OPENED,
        end="<｜end▁of▁sentence｜>",
        tokens=_DEEPSEEK,
    ),
    "distill-qwen": Family(
        f"{_T}deepseek-ai-DeepSeek-R1-Distill-Qwen-32B.jinja",
        "distill-qwen",
        "think",
        **_OPENED,
        end="<｜end▁of▁sentence｜>",
        tokens=_DEEPSEEK,
        asks={"enable_thinking": True},
    ),
    "deepseek-v3": Family(
        "deepseek/tokenizer_config.json", "deepseek", "plain", end="<｜end▁of▁sentence｜>", tokens=_DEEPSEEK
    ),
    "gpt-oss": Family(
        f"{_T}openai-gpt-oss-120b.jinja",
        "gpt-oss",
        "channel",
        open="<|channel|>analysis<|message|>",
        answer_open="<|channel|>final<|message|>",
        close="<|end|><|start|>assistant<|channel|>final<|message|>",
        end="<|end|>",
        tokens={"bos_token": "<|startoftext|>", "eos_token": "<|return|>"},
    ),
    "llama3": Family("llama3/tokenizer_config.json", "llama3", "plain", end="<|eot_id|>", tokens=_LLAMA),
    "llama3.1": Family(
        f"{_T}meta-llama-Llama-3.1-8B-Instruct.jinja", "llama3", "plain", end="<|eot_id|>", tokens=_LLAMA
    ),
    "llama3.2": Family(
        f"{_T}meta-llama-Llama-3.2-3B-Instruct.jinja", "llama3", "plain", end="<|eot_id|>", tokens=_LLAMA
    ),
}
EXACT = [name for name, family in FAMILIES.items() if family.exact]
THINKING = [name for name in EXACT if FAMILIES[name].close]


@cache
def tokenizer_json(vocabulary: str) -> str:
    """The text of a ``tokenizer.json``; for models made from another's vocabulary, with their own names."""
    base, names = _RENAMED.get(vocabulary, (vocabulary, {}))
    text = (CACHE / base / "tokenizer.json").read_text(encoding="utf-8")
    if not names:
        return text
    data = json.loads(text)
    for token in data["added_tokens"]:
        token["content"] = names.get(token["id"], token["content"])
    post = data["post_processor"]
    if "TemplateProcessing" in json.dumps(post):
        data["post_processor"] = None  # names the old first token; nobody here asks for special tokens
    return json.dumps(data)


@cache
def codec(vocabulary: str) -> HfCodec:
    """Its vocabulary as sessions use it."""
    return HfCodec(tokenizer_json(vocabulary), ends=_ENDS[vocabulary], name=vocabulary)


@cache
def tokenizer(vocabulary: str) -> Tokenizer:
    """The tokenizer itself, as the reference."""
    return Tokenizer.from_str(tokenizer_json(vocabulary))


def encoded(vocabulary: str, text: str) -> list[int]:
    """A prompt as the tokenizer itself encodes it."""
    ids: list[int] = tokenizer(vocabulary).encode(text, add_special_tokens=False).ids
    return ids


def decoded(vocabulary: str, ids: list[int]) -> str:
    """Text with control tokens by their names."""
    return str(tokenizer(vocabulary).decode(ids, skip_special_tokens=False))


def commands(vocabulary: str, ids: list[int]) -> list[str]:
    """The added tokens among ids, special or not."""
    return [_added(vocabulary)[i] for i in ids if i in _added(vocabulary)]


@cache
def _added(vocabulary: str) -> dict[int, str]:
    return {t["id"]: t["content"] for t in json.loads(tokenizer_json(vocabulary))["added_tokens"]}


@cache
def chat_format(name: str) -> ChatFormat:
    """What tessy makes of a family's template."""
    return FAMILIES[name].detected()


def _raise(message: str) -> None:
    raise jinja2.TemplateError(message)
