"""Where a model lies: a folder, or a snapshot of a repository on the hub. Pickles are never read."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from tessy.errors import ConfigError

__all__ = ["Source", "locate"]

_FILES = ("*.json", "*.safetensors", "*.txt", "*.model")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".h5", ".msgpack")
_HUB_ID = re.compile(r"(?P<id>[\w.-]+(?:/[\w.-]+)?)(?:@(?P<revision>[\w./-]+))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Source:
    """A model's files.

    Attributes:
        name: the hub id, or the folder's own name; for people.
        folder: where the files lie.
        revision: the commit on the hub; ``None`` for a folder.
        weights: a hash over weights, configuration and tokenizer.
    """

    name: str
    folder: Path
    revision: str | None
    weights: str


def locate(model: str, revision: str | None = None) -> Source:
    """Find a model's files, downloading them if need be; reads every weight once to hash it.

    Args:
        model: a folder, a hub id, or a hub id ``@`` a revision.
        revision: for a hub id without one.

    Raises:
        ConfigError: there is no such folder or repository, or it holds no safetensors weights.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        return _checked(folder.resolve().name, folder, None)
    match = _HUB_ID.fullmatch(model)
    if match is None or model.startswith("."):
        raise ConfigError(f"detector hf-boundary: model {model!r}: there is no such folder")
    name, revision = match["id"], match["revision"] or revision
    snapshot = _download(model, name, revision)
    return _checked(name, snapshot, snapshot.name)


def _download(model: str, name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(_FILES)))
    except Exception as error:  # the library raises those of its HTTP client too
        first = str(error).strip().partition("\n")[0]
        raise ConfigError(
            f"detector hf-boundary: model {model!r} is no folder, and the hub does not give it: "
            f"{type(error).__name__}: {first}"
        ) from error


def _checked(name: str, folder: Path, revision: str | None) -> Source:
    where = f"detector hf-boundary: model {str(folder) if revision is None else name!r}"
    if not (folder / "config.json").is_file():
        raise ConfigError(f"{where}: has no config.json, so it is no transformers model")
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        pickles = sorted(path.name for path in folder.iterdir() if path.suffix in _PICKLES)
        found = f"; {', '.join(pickles)} may run code when it is loaded and is not read" if pickles else ""
        raise ConfigError(f"{where}: holds no weights as safetensors{found}")
    digest = hashlib.sha256()
    for path in (*weights, folder / "config.json", folder / "tokenizer.json"):
        if path.is_file():
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return Source(name, folder, revision, digest.hexdigest()[:16])
