"""Brings the prompts into the journal: new rows are added, known ones found again, none lost."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from tessy.errors import ConfigError
from tessy.journal import Store
from tessy.journal.codec import prompt_to
from tessy.prompts import PromptRow, read_prompts

__all__ = ["Wanted", "ingest", "retry_failed"]

log: logging.Logger = logging.getLogger(__name__)

_AFRESH = (
    "length",
    "ended_in_thinking",
    "no_progress",
    "repetition",
    "continuation_unsupported",
    "unsafe_text",
)
"""Failures of the text itself, or to go on with it: another try begins anew. After others it goes on where it
stood."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows a run is to write; for the first three see `tessy.prompts.read_prompts`."""

    source: str | Sequence[Any]
    column: str | None
    limit: int | None
    samples: int


def ingest(stores: Sequence[Store], wanted: Wanted) -> None:
    """Make exactly the source's rows the wanted ones in each store. Call it within their transactions.

    Raises:
        ConfigError: the prompt of a known id has changed, or a run's rows are all of another source.
        DataError: a row is unusable.
    """
    for store in stores:
        store.want_none()
    rows = read_prompts(wanted.source, column=wanted.column, limit=wanted.limit)
    known: set[Store] = set()
    count = 0
    for count, row in enumerate(rows, 1):
        messages = prompt_to(row.prompt)
        columns = orjson.dumps(dict(row.columns)).decode()
        for store in stores:
            for sample in range(wanted.samples):
                if _is_known(store, row, sample):
                    known.add(store)
                store.want(row.id, sample, row.content, count - 1, messages, columns)
    for store in stores:
        _tell_left_behind(store, wanted, count, store in known)


def _is_known(store: Store, row: PromptRow, sample: int) -> bool:
    known = store.known(row.id, sample)
    if known is not None and known != row.content:
        raise ConfigError(
            f"{row.where}: id {row.id!r} had another prompt when this run began; "
            "give the changed prompt an id of its own, or choose another -o"
        )
    return known is not None


def _tell_left_behind(store: Store, wanted: Wanted, count: int, known: bool) -> None:
    """Rows that have ended stay in the data, also if their prompts are no longer among those read.

    A limit explains some: rows beyond it are in the file still. A file that knows not one of the rows is
    taken for a mistake. A program that gives its prompts itself may give them in portions.
    """
    folder, source = store.path.parent, _called(wanted.source)
    left = store.left_behind()
    if left and not known and isinstance(wanted.source, str):
        raise ConfigError(
            f"{folder}: holds a run of other prompts: none of the rows that have ended here ({left}) is in "
            f"{source}; choose another -o, or add the new prompts to the file that was read here"
        )
    if wanted.limit is not None and count >= wanted.limit:
        left, source = store.left_behind(count), f"the first {count} of {source}"
    if left:
        log.warning(
            "%s: %d of the rows that have ended %s not in %s; what is written stays in data.jsonl and "
            "failures.jsonl, and so in exports and reports",
            folder,
            left,
            "is" if left == 1 else "are",
            source,
        )


def _called(source: str | Sequence[Any]) -> str:
    if not isinstance(source, str):
        return "the prompts given"
    return "standard input" if source == "-" else source


def retry_failed(store: Store, attempts: int) -> int:
    """Make the wanted rows pending again that have failed in fewer than ``attempts`` attempts; how many.

    Attempts are counted in the journal, so the bound holds over all processes. Call it within a transaction.
    """
    failed = store.wanted_failed()
    again = [n for n in failed if store.job(n).attempt + 1 < attempts]
    for n in again:
        store.retry(n, afresh=store.failure(n).reason in _AFRESH)
    if left := len(failed) - len(again):
        log.warning(
            "%s: %d failed rows are not tried again, they were tried %d times; --attempts allows more",
            store.path.parent,
            left,
            attempts,
        )
    return len(again)
