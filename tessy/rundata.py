"""Reads what a run has written: rows, failures, settings and the journal, without changing any of it.

`tessy report`, `score`, `export`, `show` and `diff` read runs through this module. Rows are read one at a
time, so a run of any size needs the memory of its longest row. A run that is still going can be read: what
has ended by then is there, and `RunData.going` says so.
"""

from __future__ import annotations

import fcntl
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import orjson

from tessy.dataset import DATA, FAILURES
from tessy.directory import JOURNAL
from tessy.errors import ConfigError, DataError
from tessy.journal.store import Store
from tessy.tokens.signature import TOKENIZERS

__all__ = ["Row", "RowSpan", "RunData", "expand"]

_SETTINGS = "run.yaml"


class RowSpan(TypedDict, total=False):
    """A span as it stands in a row: ``start`` and ``end`` are characters of the last message's content.

    ``via`` is there only where the author wrote through something else (``instructed``).
    """

    author: str
    phase: str
    kind: str | None
    start: int
    end: int
    tokens: int
    via: str


@dataclass(frozen=True, slots=True)
class Row:
    """A finished row of ``data.jsonl``.

    Attributes:
        data: the whole row as it stands in the file.
        where: ``FILE:LINE``, for messages.
    """

    data: dict[str, Any]
    where: str

    @property
    def id(self) -> str:
        """The row's id, unique in its run."""
        return str(self.data["id"])

    @property
    def messages(self) -> list[dict[str, str]]:
        """The prompt's messages, then the assistant's."""
        return self.data["messages"]  # type: ignore[no-any-return]

    @property
    def content(self) -> str:
        """The assistant's message, in the student's own format."""
        return self.messages[-1]["content"]

    @property
    def tessy(self) -> dict[str, Any]:
        """What tessy says of the row."""
        return self.data["tessy"]  # type: ignore[no-any-return]

    @property
    def spans(self) -> Sequence[RowSpan]:
        """Who wrote what, in order."""
        return self.tessy["spans"]  # type: ignore[no-any-return]

    @property
    def thinking(self) -> str:
        """The thinking, without the format's marks; empty where there is none."""
        return self._phase("think")

    @property
    def answer(self) -> str:
        """The answer, without the format's marks."""
        return self._phase("answer")

    def text(self, span: RowSpan) -> str:
        """The text of one of its spans."""
        return self.content[span["start"] : span["end"]]

    def _phase(self, phase: str) -> str:
        spans = [span for span in self.spans if span["phase"] == phase]
        return self.content[spans[0]["start"] : spans[-1]["end"]] if spans else ""


class RunData:
    """One run directory, read only.

    Raises:
        ConfigError: this is no run directory, or it cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not (folder / JOURNAL).is_file() and not (folder / DATA).is_file():
            inner = [run.name for run in _inside(folder)]
            hint = f"; it holds the runs {', '.join(inner)}: name one of them" if inner else ""
            why = f"no {DATA}" if folder.is_dir() else "a file" if folder.exists() else "no such folder"
            raise ConfigError(f"{folder}: no run here ({why}){hint or '; name what tessy run -o named'}")

    @property
    def name(self) -> str:
        """What to call the run in tables: its folder's name."""
        return self.folder.resolve().name

    @property
    def going(self) -> bool:
        """Whether a tessy process is writing here at this moment."""
        try:
            lock = os.open(self.folder / ".lock", os.O_RDONLY)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise ConfigError(f"{self.folder}: cannot be read: {error.strerror}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False

    def settings(self) -> dict[str, Any]:
        """What ``run.yaml`` says; empty where there is none.

        Raises:
            ConfigError: it is no YAML mapping.
        """
        import yaml

        path = self.folder / _SETTINGS
        try:
            loaded = yaml.safe_load(path.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
        except (UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
            said = " ".join(str(error).split())
            raise ConfigError(
                f"{path}: not YAML: {said}; 'tessy run' on {self.folder} writes the file anew"
            ) from error
        if not isinstance(loaded, dict):
            raise ConfigError(f"{path}: not a mapping of settings")
        return loaded

    def rows(self, *, check: bool = True) -> Iterator[Row]:
        """The finished rows, as ``data.jsonl`` lists them; those without a line yet are left out.

        With ``check``, each row's spans are held against its text.

        Raises:
            DataError: a line is no row, or its spans do not add up.
        """
        for where, line in self.lines():
            data = _parsed(line, where)
            row = Row(data, where)
            try:
                if check:
                    _check(row)
                else:
                    row.spans, row.content  # noqa: B018  # a row must have them
            except (KeyError, TypeError, IndexError, AttributeError) as error:
                raise DataError(
                    f"{where}: not a row of tessy ({type(error).__name__}: {error}); "
                    f"'tessy run' on {self.folder} writes the file anew from the journal"
                ) from error
            yield row

    def lines(self, name: str = DATA) -> Iterator[tuple[str, bytes]]:
        """The whole lines of one of its files, with where each stands.

        A last line without an end is left out: it is being written, or its writer was killed, and the
        journal has it.
        """
        path = self.folder / name
        try:
            with open(path, "rb") as file:
                for number, line in enumerate(file, 1):
                    if line.endswith(b"\n"):
                        yield f"{path}:{number}", line
        except FileNotFoundError:
            return
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error

    def failures(self) -> Iterator[dict[str, Any]]:
        """The rows that could not be finished, as ``failures.jsonl`` lists them.

        Raises:
            DataError: a line is no row.
        """
        for where, line in self.lines(FAILURES):
            row = _parsed(line, where)
            try:
                row["id"], row["messages"], row["error"]["reason"], row["error"]["message"]
                row.get("partial", {}).get("thinking")
            except (KeyError, TypeError, AttributeError) as error:
                raise DataError(
                    f"{where}: not a failed row of tessy ({type(error).__name__}: {error}); "
                    f"'tessy run' on {self.folder} writes the file anew from the journal"
                ) from error
            yield row

    def tokenizers(self) -> dict[str, list[int]]:
        """What tells the tokenizers of its models from others (`tessy.tokens.signature`), by role.

        Without those that are not recorded: the journal is missing or older, or an engine hides its tokens.

        Raises:
            ConfigError: the journal cannot be read.
        """
        if not (self.folder / JOURNAL).is_file():
            return {}
        store = self.journal()
        try:
            recorded: dict[str, list[int] | None] = orjson.loads(store.meta(TOKENIZERS) or "{}")
        finally:
            store.close()
        return {role: found for role, found in recorded.items() if found is not None}

    def journal(self) -> Store:
        """The journal, read only; the caller closes it.

        Raises:
            ConfigError: there is none, or another version of tessy wrote it.
        """
        path = self.folder / JOURNAL
        if not path.is_file():
            raise ConfigError(f"{path}: no such file; the run directory is not whole")
        return Store(path, write=False)


def expand(folders: Sequence[Path]) -> list[RunData]:
    """The runs named: a run directory stands for itself, a folder of them for all of them, by name.

    Raises:
        ConfigError: one holds no run, or two are the same.
    """
    runs: list[RunData] = []
    for folder in folders:
        inside = [] if (folder / JOURNAL).exists() or (folder / DATA).exists() else _inside(folder)
        runs += [RunData(run) for run in inside or [folder]]
    twice = [path for path, count in Counter(run.folder.resolve() for run in runs).items() if count > 1]
    if twice:
        raise ConfigError(f"{twice[0]}: is named twice")
    return runs


def _inside(folder: Path) -> list[Path]:
    try:
        return sorted(path.parent for path in folder.glob(f"*/{JOURNAL}"))
    except OSError:
        return []


def _parsed(line: bytes, where: str) -> dict[str, Any]:
    try:
        data = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise DataError(f"{where}: not JSON: {error}") from error
    if not isinstance(data, dict):
        raise DataError(f"{where}: not a row but a {type(data).__name__}")
    return data


def _check(row: Row) -> None:
    """Every character of both phases has an author, and the tokens add up; else `DataError`."""
    spans, length = row.spans, len(row.content)
    tokens: dict[str, int] = {}  # no Counter: this loop is half of what an export takes
    at, phase = 0, None
    for span in spans:
        start, of, author = span["start"], span["phase"], span["author"]
        if start != at and (start < at or phase == of):
            raise _does_not_add_up(row, f"the span at {start} follows the text up to {at}")
        at, phase = span["end"], of
        if at < start:
            raise _does_not_add_up(row, f"the span at {start} ends at {at}")
        tokens[author] = tokens.get(author, 0) + span["tokens"]
    if spans and at != length:
        raise _does_not_add_up(row, f"the last span ends at {at}, the text at {length}")
    stated: Mapping[str, int] = row.tessy["tokens"]
    if any(stated.get(author, 0) != count for author, count in tokens.items()):
        raise _does_not_add_up(row, "its tokens are not those of its spans")


def _does_not_add_up(row: Row, why: str) -> DataError:
    return DataError(
        f"{row.where}: row {row.id!r}: spans and text do not add up: {why}; was it edited by hand? "
        f"'tessy run' with the run's own settings writes the file anew from the journal"
    )
