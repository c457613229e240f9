"""Where annotations are written: lines that are appended, safe against a kill at any instant."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import orjson

from tessy.errors import ConfigError, DataError
from tessy.labelling.segments import Segment, line_of
from tessy.lock import locked
from tessy.replacing import replacing

__all__ = ["AnnotationStore", "dropped_path"]

_WRITTEN: Mapping[str, Mapping[str, type]] = {
    "kept": {"id": str, "text": str, "spans": list},
    "dropped": {"id": str, "reason": str},
}
"""What the lines of each file hold."""
_BEGIN = b'{"id":"'


def dropped_path(path: Path) -> Path:
    """Where what was dropped stands: ``NAME.dropped.jsonl`` beside ``NAME.jsonl``."""
    return path.with_suffix(".dropped.jsonl")


class AnnotationStore:
    """Two files of lines: ``NAME.jsonl`` of what was kept, ``NAME.dropped.jsonl`` of what was not.

    Use it as a context manager. Entering it cuts off a last line that was not written to its end; until it
    is left, no other process can enter it.

    Args:
        path: the file of kept segments; what it holds already is not asked for again.
        segments: all that may be annotated, now or another time.
        again: ask again for what was dropped before.

    Raises (when it is entered):
        ConfigError: a file cannot be written, holds the annotations of other segments, or another process
            writes here.
        DataError: a line of it cannot be read.
    """

    def __init__(self, path: Path, segments: Sequence[Segment], *, again: bool = False) -> None:
        self._paths = {"kept": path, "dropped": dropped_path(path)}
        self._texts = {segment.id: segment.text for segment in segments}
        self._again = again
        self._lines: dict[str, dict[str, bytes]] = {}
        self._files: dict[str, BinaryIO] = {}
        self._exit = ExitStack()
        self.reasons: Counter[str] = Counter()

    def __enter__(self) -> AnnotationStore:
        path = self._paths["kept"]
        with ExitStack() as stack:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                stack.enter_context(locked(path.with_name(f".{path.name}.lock")))
                if self._again:
                    self._paths["dropped"].unlink(missing_ok=True)
                for name, file in self._paths.items():
                    self._lines[name] = self._read(name, file)
                for name, file in self._paths.items():
                    self._files[name] = stack.enter_context(file.open("ab", buffering=0))
            except BlockingIOError as error:
                raise ConfigError(
                    f"{path}: another tessy process annotates into it; wait for it, or choose another -o"
                ) from error
            except OSError as error:
                raise ConfigError(f"{path}: cannot be written: {error.strerror or error}") from error
            self._exit = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        with self._exit:
            for name, file in self._files.items():
                file.close()
                path = self._paths[name]
                if path.exists() and not path.stat().st_size:
                    path.unlink()

    def __contains__(self, id: str) -> bool:
        return any(id in lines for lines in self._lines.values())

    @property
    def kept(self) -> int:
        """How many segments have usable spans."""
        return len(self._lines["kept"])

    def keep(self, segment: Segment) -> None:
        """Append a segment with its spans."""
        self._append("kept", segment.id, line_of(segment))

    def drop(self, id: str, reason: str, answer: str) -> None:
        """Append that a segment was dropped, why, and what the annotator said."""
        answer = answer.encode("utf-8", "backslashreplace").decode()
        row = {"id": id, "reason": reason, "answer": answer}
        self._append("dropped", id, orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
        self.reasons[reason] += 1

    def arrange(self) -> None:
        """Put both files in the order of the segments; nothing can be appended any more."""
        for name, path in self._paths.items():
            self._files[name].close()
            lines = self._lines[name]
            if not lines:
                continue
            with replacing(path, private=False) as file:
                file.writelines(lines[id] for id in self._texts if id in lines)

    def _append(self, name: str, id: str, line: bytes) -> None:
        try:
            if self._files[name].write(line) < len(line):
                raise OSError(errno.ENOSPC, "no space left")
        except OSError as error:
            raise ConfigError(
                f"{self._paths[name]}: cannot be written: {error.strerror}\n"
                "what is written stays; the same command goes on"
            ) from error
        self._lines[name][id] = line

    def _read(self, name: str, path: Path) -> dict[str, bytes]:
        if not path.exists():
            return {}
        data = path.read_bytes()
        whole = data.rfind(b"\n") + 1
        lines: dict[str, bytes] = {}
        for number, line in enumerate(data[:whole].splitlines(keepends=True), 1):
            row = _row(f"{path}:{number}", line, _WRITTEN[name])
            text = self._texts.get(row["id"])
            if text is None or row.get("text", text) != text:
                raise ConfigError(f"{path}:{number}: holds another segment; choose another -o")
            lines[row["id"]] = line
            self.reasons.update([row["reason"]] if name == "dropped" else [])
        if whole < len(data):
            if not data[whole:].startswith(_BEGIN[: len(data) - whole]):
                raise DataError(f"{path}: its last line is none that 'tessy detector annotate' wrote")
            with path.open("r+b") as file:
                file.truncate(whole)
        return lines


def _row(where: str, line: bytes, columns: Mapping[str, type]) -> dict[str, Any]:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise DataError(f"{where}: not JSON: {error}") from None
    if not isinstance(row, dict) or not all(isinstance(row.get(name), of) for name, of in columns.items()):
        raise DataError(f"{where}: not a line that 'tessy detector annotate' wrote; choose another -o")
    return row
