"""What a file is that is no JSON lines, judged by its beginning, and how it becomes some."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

from tessy.sources.compressed import TOOLS, unpacked_suffix

__all__ = ["WANTED", "recognized"]

WANTED = "prompts are JSONL (one JSON object a line) or Parquet"
_SIGNS = (
    (b"PAR1", "is Parquet; its name must end in .parquet"),
    (b"\x1f\x8b", "is compressed with gzip; its name must end in .gz"),
    (b"BZh", "is compressed with bzip2; its name must end in .bz2"),
    (b"\xfd7zXZ", "is compressed with xz; its name must end in .xz"),
    (b"\x28\xb5\x2f\xfd", "is compressed with zstd; unpack it (zstd -d)"),
    (b"PK\x03\x04", "is a ZIP archive or a spreadsheet; " + WANTED),
)
_MARKS = (b"\xff\xfe", b"\xfe\xff")
_CODE = {
    "a JSON array": (
        "import json; [print(json.dumps(r if isinstance(r, dict) else {'prompt': r})) "
        "for r in json.load(open(0, encoding='utf-8-sig'))]"
    ),
    "CSV": (
        "import csv, json; [print(json.dumps(r)) for r in "
        "csv.DictReader(open(0, encoding='utf-8-sig', newline=''))]"
    ),
    "TSV": (
        "import csv, json; [print(json.dumps(r)) for r in "
        "csv.DictReader(open(0, encoding='utf-8-sig', newline=''), delimiter='\\t')]"
    ),
    "plain text": (
        "import json, sys; [print(json.dumps({'prompt': s.strip()})) for s in sys.stdin if s.strip()]"
    ),
}
"""Programs of one line, by what they turn into JSON lines; they need nothing but Python."""
_NAMES = {".csv": "CSV", ".tsv": "TSV", ".txt": "plain text"}


def recognized(name: str, line: bytes) -> str | None:
    """What a file is whose first line is no JSON object, and what to do; ``None`` where nothing tells.

    Args:
        name: the file's path, or what messages call the source.
        line: its first line.
    """
    for sign, what in _SIGNS:
        if line.startswith(sign):
            return what
    if line.startswith(_MARKS):
        return _recoded(name, "UTF-16")
    if b"\0" in line:
        if line.count(b"\0") * 3 < len(line):
            return f"is binary; {WANTED}"
        return _recoded(name, "UTF-16BE" if line.startswith(b"\0") else "UTF-16LE")
    if line.lstrip().startswith(b"["):
        return _converted(name, "a JSON array")
    kind = _NAMES.get(unpacked_suffix(Path(name)))
    return None if kind is None else _converted(name, kind)


def _recoded(name: str, encoding: str) -> str:
    return f"is UTF-16 text, UTF-8 is wanted: {_piped(name, f'iconv -f {encoding} -t UTF-8')}"


def _converted(name: str, kind: str) -> str:
    program = f'python3 -c "{_CODE[kind]}"'
    return f"is {kind}; {WANTED}: {_piped(name, program)}"


def _piped(name: str, program: str) -> str:
    """A command line that reads the file and writes another, never one that is there."""
    path = Path(name)
    if not path.is_file():  # standard input
        return f"{program} < FILE > FILE.jsonl"
    tool = TOOLS.get(path.suffix)
    target = (Path(path.stem) if tool else Path(path.name)).with_suffix(".jsonl")
    if (path.parent / target).exists():
        target = target.with_name(f"{target.stem}-lines.jsonl")
    into = quote(str(path.parent / target))
    source = quote(name)
    return f"{tool} -dc {source} | {program} > {into}" if tool else f"{program} < {source} > {into}"
