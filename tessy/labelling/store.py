"""Where annotations are written: lines that are appended, safe against a kill at any instant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import orjson

from tessy.errors import ConfigError, DataError
from tessy.labelling.segments import Segment, line_of

__all__ = ["AnnotationStore", "dropped_path"]


def dropped_path(path: Path) -> Path:
    """Where what was dropped stands: ``NAME.dropped.jsonl`` beside ``NAME.jsonl``."""
    return path.with_suffix(".dropped.jsonl")


class AnnotationStore:
    """Two files of lines: ``NAME.jsonl`` of what was kept, ``NAME.dropped.jsonl`` of what was not.

    Use it as a context manager. Opening it cuts off a last line that was not written to its end.

    Args:
        path: the file of kept segments; what it holds already is not asked for again.
        segments: all that may be annotated, now or another time.
        again: ask again for what was dropped before.

    Raises:
        ConfigError: a file cannot be written, or holds the annotations of other segments.
        DataError: a line of it cannot be read.
    """

    def __init__(self, path: Path, segments: Sequence[Segment], *, again: bool = False) -> None:
        self._paths = {"kept": path, "dropped": dropped_path(path)}
        self._lines: dict[str, dict[str, bytes]] = {}
        self._files: dict[str, BinaryIO] = {}
        self.reasons: Counter[str] = Counter()
        self._texts = texts = {segment.id: segment.text for segment in segments}
        try:
            if again:
                self._paths["dropped"].unlink(missing_ok=True)
            for name, file in self._paths.items():
                file.parent.mkdir(parents=True, exist_ok=True)
                self._lines[name] = self._read(file, texts)
            for name, file in self._paths.items():
                self._files[name] = file.open("ab", buffering=0)
        except OSError as error:
            raise ConfigError(f"{path}: cannot be written: {error.strerror or error}") from error

    def __enter__(self) -> AnnotationStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        for file in self._files.values():
            file.close()

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
        """Put both files in the order of the segments; a file without a line is removed."""
        for name, path in self._paths.items():
            self._files[name].close()
            lines = self._lines[name]
            if not lines:
                path.unlink()
                continue
            fresh = path.with_suffix(".jsonl.new")
            fresh.write_bytes(b"".join(lines[id] for id in self._texts if id in lines))
            fresh.replace(path)

    def _append(self, name: str, id: str, line: bytes) -> None:
        self._files[name].write(line)
        self._lines[name][id] = line

    def _read(self, path: Path, texts: dict[str, str]) -> dict[str, bytes]:
        if not path.exists():
            return {}
        data = path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            with path.open("r+b") as file:
                file.truncate(whole)
        lines: dict[str, bytes] = {}
        for number, line in enumerate(data[:whole].splitlines(keepends=True), 1):
            row = _row(f"{path}:{number}", line)
            if row["id"] not in texts or row.get("text", texts[row["id"]]) != texts[row["id"]]:
                raise ConfigError(f"{path}:{number}: holds another segment; choose another -o")
            lines[row["id"]] = line
            self.reasons.update([row["reason"]] if "reason" in row else [])
        return lines


def _row(where: str, line: bytes) -> dict[str, Any]:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise DataError(f"{where}: not JSON: {error}") from None
    if not isinstance(row, dict) or not isinstance(row.get("id"), str):
        raise DataError(f"{where}: not a line that 'tessy detector annotate' wrote; choose another -o")
    return row
