"""An annotator's answer, read: a JSON array of verbatim spans becomes places in the text.

Models wrap their answer: in a code fence, in prose, in an object. The array is found in all of these, but
what it holds must be right: strings that stand in the text, one after the other. Only white space and the
shapes of quotation marks and dashes may differ. What was cut off is never used: the rest of the text would
pass for capability.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tessy.labelling.segments import Span

__all__ = ["Answer", "Unusable", "read_answer"]

_ALIKE = ("'’‘`´", '"“”„«»', "-–—‑")
_OPENS = re.compile(r"[\[{]")
_KEYS = ("spans", "style_spans", "style", "text", "span")


class Unusable(Exception):
    """An answer that no spans can be had from; ``reason`` is one word for statistics.

    Reasons: ``no_array``, ``cut_off``, ``not_verbatim``.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Answer:
    """The spans of a text, and how many strings were left out because they do not stand in it."""

    spans: tuple[Span, ...]
    left_out: int = 0


def read_answer(text: str, answer: str, *, cut_off: bool = False, lenient: bool = False) -> Answer:
    """Find the answer's strings in the text, in order.

    Args:
        text: what was to be annotated.
        answer: what the annotator wrote.
        cut_off: the answer ended at a limit of length.
        lenient: leave out a string that is not found, in place of giving up.

    Raises:
        Unusable: there is no array of strings, it has no end, or (unless lenient) one is not found.
    """
    strings = _strings(answer, cut_off)
    if strings is None:
        if cut_off or "[" in answer:
            raise Unusable("cut_off", "the array has no end")
        raise Unusable("no_array", "no JSON array in it")
    return _locate(text, strings, lenient)


def _locate(text: str, strings: Sequence[str], lenient: bool) -> Answer:
    spans: list[Span] = []
    at, left_out = 0, 0
    for string in strings:
        found = _pattern(string).search(text, at)
        if found is None:
            if not lenient:
                raise Unusable("not_verbatim", f"{string[:80]!r} does not stand in the text from {at} on")
            left_out += 1
            continue
        start, at = found.span()
        if spans and not text[spans[-1][1] : start].strip():
            start = spans.pop()[0]
        spans.append((start, at))
    return Answer(tuple(spans), left_out)


def _pattern(string: str) -> re.Pattern[str]:
    """Matches the string with any white space in it, and never within a word."""
    body = r"\s+".join("".join(map(_char, word)) for word in string.split())
    before = r"(?<!\w)" if string[0].isalnum() and string[0].isascii() else ""
    after = r"(?!\w)" if string[-1].isalnum() and string[-1].isascii() else ""
    return re.compile(before + body + after)


def _char(char: str) -> str:
    alike = next((group for group in _ALIKE if char in group), None)
    return f"[{re.escape(alike)}]" if alike else re.escape(char)


def _strings(answer: str, cut_off: bool) -> list[str] | None:
    """The strings of the last array of strings, of one that is not empty if there is any.

    If the answer was cut off, nothing that could be an array may be begun behind it.
    """
    found: list[str] | None = None
    end = 0
    for value, after in _values(answer):
        strings = _as_strings(value)
        if strings is not None:
            end = after
            found = strings or found or []
    return None if cut_off and "[" in answer[end:] else found


def _values(answer: str) -> Iterator[tuple[Any, int]]:
    """All JSON arrays and objects in a text and where each ends; those inside others left out."""
    decoder, at = json.JSONDecoder(strict=False), 0
    while (found := _OPENS.search(answer, at)) is not None:
        try:
            value, at = decoder.raw_decode(answer, found.start())
        except (ValueError, RecursionError):
            at = found.end()
        else:
            yield value, at


def _as_strings(value: Any) -> list[str] | None:
    if isinstance(value, dict):
        inner = next((value[key] for key in _KEYS if isinstance(value.get(key), list)), None)
        return None if inner is None else _as_strings(inner)
    if not isinstance(value, list):
        return None
    strings = [_as_string(item) for item in value]
    if any(string is None for string in strings):
        return None
    return [string.strip() for string in strings if string is not None and string.strip()]


def _as_string(item: Any) -> str | None:
    if isinstance(item, dict):
        item = next((item[key] for key in _KEYS if isinstance(item.get(key), str)), None)
    return item if isinstance(item, str) else None
