"""Bars, as SVG that follows the reader's light or dark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["Bar", "picture"]

_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#222}.ours{fill:#1769aa}.paper{fill:#c77700}"
    ".one{stroke:#888;stroke-dasharray:4 3}"
    "@media(prefers-color-scheme:dark){text{fill:#ddd}.ours{fill:#6db3f2}.paper{fill:#f0a840}}"
)
_LEFT, _WIDTH, _ROW = 270, 430, 26


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: ``value`` times the lower bound; ``kind``: ``ours`` or ``paper``."""

    name: str
    value: float
    kind: str


def picture(bars: Sequence[Bar]) -> str:
    """The bars below one another, with a line at the bound."""
    most = max((bar.value for bar in bars), default=1.0)
    unit = _WIDTH / max(most, 1.0)
    height = 40 + _ROW * len(bars)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_LEFT + _WIDTH + 60} {height}" role="img">',
        "<title>Makespan as a multiple of the lower bound</title>",
        f"<style>{_STYLE}</style>",
        f'<text x="{_LEFT}" y="16">multiples of the lower bound</text>',
    ]
    for i, bar in enumerate(bars):
        y = 30 + i * _ROW
        lines += [
            f'<text x="{_LEFT - 8}" y="{y + 14}" text-anchor="end">{escape(bar.name)}</text>',
            f'<rect class="{bar.kind}" x="{_LEFT}" y="{y}" width="{bar.value * unit:.1f}" height="18"/>',
            f'<text x="{_LEFT + bar.value * unit + 6:.1f}" y="{y + 14}">{bar.value:.2f}</text>',
        ]
    x = _LEFT + unit
    lines += [f'<line class="one" x1="{x:.1f}" y1="22" x2="{x:.1f}" y2="{height - 6}"/>', "</svg>", ""]
    return "\n".join(lines)
