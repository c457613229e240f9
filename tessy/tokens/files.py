"""A model's own files: tokenizer, chat template, end tokens, recommended sampling.

From a folder, or from the hub (only these small files, through its client and cache, so that
``HF_HOME`` and ``HF_HUB_OFFLINE`` work as everywhere).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tessy.errors import ConfigError
from tessy.formats import ChatFormat, detect, load_template
from tessy.tokens.hf import HfCodec

__all__ = ["ModelFiles", "load_model_files"]

_NAMES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
    "config.json",
)


@dataclass(frozen=True)
class ModelFiles:
    """What can be known of a model without its weights.

    Attributes:
        source: folder or hub id, as given.
        codec: its vocabulary.
        template: the Jinja source of its chat template, if it has one.
        bos_token, eos_token: as the template spells them.
        generation: its ``generation_config.json``.
    """

    source: str
    codec: HfCodec
    template: str | None
    bos_token: str
    eos_token: str
    generation: Mapping[str, Any]

    def format(self, template: str | None = None) -> ChatFormat:
        """Its chat format, from ``template`` (a file or a built-in name) or its own template.

        Raises:
            ConfigError: there is none, or it cannot be used.
        """
        source = load_template(template) if template else self.template
        if source is None:
            raise ConfigError(f"{self.source}: has no chat template; give one with template=")
        return detect(
            source,
            bos_token=self.bos_token,
            eos_token=self.eos_token,
            controls=self.codec.controls,
            name=template or f"of {self.source}",
        )


def load_model_files(source: str, *, revision: str | None = None, option: str = "tokenizer=") -> ModelFiles:
    """Read the files of a model folder or hub repository.

    Args:
        source: a folder, or an id such as ``Qwen/Qwen3-8B``.
        revision: of the hub repository; ``None``: its main branch.
        option: what to set to name another source, for messages.

    Raises:
        ConfigError: they cannot be had; says where they were looked for.
    """
    path = Path(source).expanduser()
    if not path.is_dir():
        path = _download(source, revision, option)
    if not (path / "tokenizer.json").is_file():
        raise ConfigError(
            f"{source}: has no tokenizer.json; name a model folder or hub id that has one with {option}"
        )
    config, generation = _json(path / "config.json"), _json(path / "generation_config.json")
    tokenizer = _json(path / "tokenizer_config.json")
    text = (path / "tokenizer.json").read_text(encoding="utf-8")
    eos = _token(tokenizer.get("eos_token"))
    ends = {*_ids(generation.get("eos_token_id")), *_ids(config.get("eos_token_id"))}
    ends |= {t["id"] for t in json.loads(text).get("added_tokens") or () if eos and t["content"] == eos}
    return ModelFiles(
        source=source,
        codec=HfCodec(text, ends=ends, name=f"{source}: tokenizer.json"),
        template=_template(path, tokenizer),
        bos_token=_token(tokenizer.get("bos_token")),
        eos_token=eos,
        generation=generation,
    )


def _download(source: str, revision: str | None, option: str) -> Path:
    if Path(source).is_absolute() or source.startswith((".", "~")) or source.count("/") > 1:
        raise ConfigError(f"{source}: no such model folder; name one, or a hub id, with {option}")
    try:
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(source, revision=revision, allow_patterns=list(_NAMES)))
    except Exception as error:  # the hub client's own, of many kinds
        why = str(error).strip().splitlines()
        raise ConfigError(
            f"{source}: is neither a model folder nor could its tokenizer be fetched from the hub "
            f"({type(error).__name__}: {why[0] if why else ''}); name either with {option}"
        ) from error


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path}: is not JSON: {error}") from error
    return data if isinstance(data, dict) else {}


def _template(path: Path, tokenizer: Mapping[str, Any]) -> str | None:
    """The template of its own file wins; a list of named ones has a ``default``."""
    file = path / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    found = _json(path / "chat_template.json").get("chat_template") or tokenizer.get("chat_template")
    if isinstance(found, list):
        found = next((one.get("template") for one in found if one.get("name") == "default"), None)
    return found if isinstance(found, str) else None


def _token(value: Any) -> str:
    """A token in ``tokenizer_config.json``: text, or an object that has it."""
    if isinstance(value, Mapping):
        value = value.get("content")
    return value if isinstance(value, str) else ""


def _ids(value: Any) -> list[int]:
    if isinstance(value, int):
        return [value]
    return [i for i in value if isinstance(i, int)] if isinstance(value, list) else []
