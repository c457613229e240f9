"""Rows of a Hugging Face data set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tessy.errors import ConfigError

__all__ = ["read_dataset"]


def read_dataset(name: str) -> Iterator[tuple[str, Any]]:
    """The rows of a data set of the hub, as they come over the network.

    Raises:
        ConfigError: it cannot be loaded.
    """
    try:
        import datasets
    except ImportError as error:
        raise ConfigError(
            f"{name}: no such file; as a Hugging Face data set it needs the extra 'data': "
            "pip install 'tessy-llm[data]'"
        ) from error
    try:
        rows = datasets.load_dataset(name, split="train", streaming=True)
    except Exception as error:  # the hub client's own, of many kinds
        raise ConfigError(f"{name}: neither a file nor a data set that could be loaded: {error}") from error
    for number, data in enumerate(rows, 1):
        yield f"{name}: row {number}", data
