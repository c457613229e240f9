"""Rows of a data set of the Hugging Face hub: ``ORG/NAME[:CONFIG][@SPLIT]``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from tessy.errors import ConfigError

__all__ = ["DEFAULT_SPLIT", "HubName", "read_dataset"]

DEFAULT_SPLIT = "train"
_NAME = re.compile(r"(?P<name>\w[\w.-]*/\w[\w.-]*)(:(?P<config>[^@]+))?(@(?P<split>.+))?")
_FILES = frozenset(
    ".jsonl .ndjson .json .parquet .arrow .csv .tsv .txt .yaml .yml .xlsx .gz .bz2 .xz .zst .zip .tar".split()
)
"""A name that ends so is a misspelt file's, nothing to ask the hub for; ``NuminaMath-1.5`` is none."""


@dataclass(frozen=True, slots=True)
class HubName:
    """What ``ORG/NAME[:CONFIG][@SPLIT]`` says."""

    name: str
    config: str | None
    split: str

    @classmethod
    def parse(cls, source: str) -> HubName | None:
        """The data set that a source names; ``None`` if it is no name of one."""
        found = _NAME.fullmatch(source)
        if found is None or PurePath(found["name"]).suffix.lower() in _FILES:
            return None
        return cls(found["name"], found["config"], found["split"] or DEFAULT_SPLIT)


def read_dataset(source: str, hub: HubName) -> Iterator[tuple[str, Any]]:
    """The rows of a data set of the hub, as they come over the network.

    Raises:
        ConfigError: it cannot be loaded.
    """
    try:
        import datasets
    except ImportError as error:
        raise ConfigError(
            f"{source}: no such file; as a Hugging Face data set it needs the extra 'data': "
            "pip install 'tessy-llm[data]'"
        ) from error
    try:
        rows = datasets.load_dataset(hub.name, name=hub.config, split=hub.split, streaming=True)
        for number, data in enumerate(rows, 1):
            yield f"{source}: row {number}", data
    except Exception as error:  # the hub client's own, of many kinds
        said = " ".join(str(error).split())
        raise ConfigError(
            f"{source}: neither a file nor a data set that could be loaded: {said} (read as config "
            f"{hub.config or 'none'}, split {hub.split}; ORG/NAME:CONFIG@SPLIT names others)"
        ) from error
