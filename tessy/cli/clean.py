"""What others wrote, as a terminal may show it: models, servers, plugins, files."""

from __future__ import annotations

import logging

__all__ = ["CleanFormatter", "clean"]

_CLEAN: dict[int, str | int] = {
    **{code: chr(0x2400 + code) for code in range(32) if chr(code) not in "\n\t"},
    **dict.fromkeys(
        (
            *range(0x7F, 0xA0),
            0x061C,
            0x200E,
            0x200F,
            *range(0x2028, 0x202F),
            *range(0x2066, 0x206A),
            *range(0xD800, 0xE000),
        ),
        0xFFFD,
    ),
}


def clean(text: str) -> str:
    """Text that cannot command the terminal, nor show its characters in another order than they have.

    Control characters become visible symbols, marks of direction and of lines (bidirectional overrides and
    isolates, U+2028, U+2029) and lone surrogates a replacement character.
    """
    return text.translate(_CLEAN)


class CleanFormatter(logging.Formatter):
    """Log lines that cannot command the terminal either."""

    def format(self, record: logging.LogRecord) -> str:
        return clean(super().format(record))
