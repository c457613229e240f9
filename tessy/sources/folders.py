"""Rows of a folder: a data set that was saved there, or files of one kind in the order of their names."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tessy.dataset import DATA
from tessy.directory import JOURNAL
from tessy.errors import ConfigError
from tessy.sources.compressed import unpacked_suffix
from tessy.sources.files import read_file
from tessy.sources.hub import DEFAULT_SPLIT

__all__ = ["read_folder", "split_folder"]

_READABLE = ("JSONL", "Parquet")
_KINDS = {
    ".jsonl": "JSONL",
    ".ndjson": "JSONL",
    ".parquet": "Parquet",
    ".csv": "CSV",
    ".tsv": "CSV",
    ".arrow": "Arrow",
}
"""Others (a README, a card, JSON that describes a data set) hold no rows."""
_SPLIT = re.compile(r"(train|validation|valid|val|dev|eval|test)[-_.]")


def split_folder(source: str) -> tuple[Path, str | None] | None:
    """The folder that ``FOLDER[@SPLIT]`` names, and the split; ``None`` if there is no such folder."""
    if Path(source).is_dir():
        return Path(source), None
    folder, mark, split = source.rpartition("@")
    return (Path(folder), split) if mark and folder and split and Path(folder).is_dir() else None


def read_folder(folder: Path, split: str | None) -> Iterator[tuple[str, Any]]:
    """The rows of a folder, of one split if it has several.

    Raises:
        ConfigError: there is nothing to read in it, or several kinds of files or splits to choose from.
        DataError: a line is not JSON.
    """
    if (folder / JOURNAL).exists():
        raise ConfigError(f"{folder}: is a run directory; name a file in it: {folder / DATA}")
    if (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file():
        return _saved(folder, split)
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be read: {error.strerror}") from error
    return _shards(_chosen(folder, files, split))


def _saved(folder: Path, split: str | None) -> Iterator[tuple[str, Any]]:
    """What ``save_to_disk`` of the library `datasets` has written, as ``tessy export --format hf`` does."""
    try:
        import datasets
    except ImportError as error:
        raise ConfigError(
            f"{folder}: reading a saved data set needs the extra 'data': pip install 'tessy-llm[data]'"
        ) from error
    try:
        found = datasets.load_from_disk(str(folder))
    except Exception as error:  # a torn file, another version's format: of many kinds
        raise ConfigError(f"{folder}: the data set saved here cannot be read: {error}") from error
    name = str(folder)
    if isinstance(found, Mapping):
        split = _one_split(folder, list(found), split)
        found, name = found[split], f"{folder}@{split}"
    elif split is not None:
        raise ConfigError(f"{folder}@{split}: the data set saved here has no splits; name the folder alone")
    for number, data in enumerate(found, 1):
        yield f"{name}: row {number}", data


def _one_split(folder: Path, splits: Sequence[str], wanted: str | None) -> str:
    if wanted is None and len(splits) == 1:
        return splits[0]
    chosen = wanted or DEFAULT_SPLIT
    if chosen not in splits:
        raise ConfigError(
            f"{folder}: has no split {chosen!r} but {', '.join(splits)}; name one: {folder}@{splits[0]}"
        )
    return chosen


def _chosen(folder: Path, files: Sequence[Path], split: str | None) -> Sequence[Path]:
    """The files to read: all are of one kind and of one split."""
    kinds: dict[str, list[Path]] = defaultdict(list)
    for path in files:
        if (kind := _KINDS.get(unpacked_suffix(path))) is not None and (split is None or _is_of(path, split)):
            kinds[kind].append(path)
    if len(kinds) > 1:
        listed = ", ".join(f"{kind} ({paths[0].name})" for kind, paths in kinds.items())
        raise ConfigError(
            f"{folder}: holds files of several kinds: {listed}; name one file, or move the rest"
        )
    if not set(kinds) <= set(_READABLE) or not kinds:
        what = f"only {next(iter(kinds))} files" if kinds else _nothing(folder, split)
        raise ConfigError(f"{folder}: holds {what}; JSONL or Parquet files are wanted")
    chosen = next(iter(kinds.values()))
    splits = dict.fromkeys(found[1] for path in chosen if (found := _SPLIT.match(path.name)))
    if split is None and len(splits) > 1:
        raise ConfigError(
            f"{folder}: holds the splits {', '.join(splits)}; name one: {folder}@{next(iter(splits))}"
        )
    return chosen


def _nothing(folder: Path, split: str | None) -> str:
    if split is not None:
        return f"no file whose name begins with {split!r}"
    inner = sorted(path.name for path in folder.iterdir() if path.is_dir())
    return f"no such file, but the folders {', '.join(inner[:9])}: name one" if inner else "nothing to read"


def _is_of(path: Path, split: str) -> bool:
    return re.match(rf"{re.escape(split)}[-_.]", path.name) is not None


def _shards(files: Sequence[Path]) -> Iterator[tuple[str, Any]]:
    for path in files:
        yield from read_file(path, str(path))
