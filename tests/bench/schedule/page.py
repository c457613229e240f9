"""The figures as tables, in ``docs/performance.md`` and on the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.schedule.long import Long
from bench.schedule.measuring import Ours, Paper, Setting
from bench.schedule.picture import Bar, picture

__all__ = ["Results", "write"]

_BEGIN, _END = "<!-- make bench writes this -->", "<!-- up to here -->"


@dataclass(frozen=True, slots=True)
class Results:
    """All that was measured."""

    setting: Setting
    ours: Sequence[Ours]
    papers: Sequence[Paper]
    long: Sequence[Long]

    def tables(self) -> Iterator[str]:
        """Lines of Markdown."""
        lengths = self.setting.lengths
        yield (
            f"Over sockets: thinkings of {lengths.thinking:g} and answers of {lengths.answer:g} tokens on"
            f" average, {self.setting.prompts} prompts for each trajectory at once. Seconds are the model's."
        )
        yield ""
        yield from _table(
            "at once|makespan|÷ bound with lookahead|÷ bound without|÷ client of no time|requests ÷ spans"
            "|discarded|tokens late|client CPU, µs a token",
            (
                [
                    one.slots,
                    f"{one.makespan:.1f} s",
                    f"{one.ratio:.3f}",
                    f"{one.strict:.3f}",
                    f"{one.makespan / one.ideal:.3f}",
                    f"{one.requests / one.spans:.3f}",
                    f"{one.discarded / (one.kept + one.discarded):.1%}",
                    f"{one.late:+.2f}",
                    f"{one.client_cpu / one.kept * 1e6:.0f}",
                ]
                for one in self.ours
            ),
        )
        yield ""
        yield from _table(
            "the paper's schedule, at once|steps|makespan|× ours|rounds|requests per 1,000 kept|discarded",
            (
                [
                    one.slots,
                    f"{one.steps.teacher}/{one.steps.student}",
                    f"{one.makespan:.1f} s",
                    self._times(one),
                    one.rounds,
                    f"{one.requests / one.kept * 1000:.0f}",
                    f"{one.discarded / (one.kept + one.discarded):.1%}",
                ]
                for one in self.papers
            ),
        )
        yield ""
        yield "In virtual time, thinkings of 13,600 and answers of 800 tokens, a client that takes no time:"
        yield ""
        yield from _table(
            "at once|bound with lookahead|ours|÷ bound|paper, 10/5|× ours|paper, 20|× ours",
            (
                [
                    one.slots,
                    _hours(one.bound_seen),
                    _hours(one.ours.seconds),
                    f"{one.ours.seconds / one.bound_seen:.3f}",
                    _hours(one.paper.seconds),
                    f"{one.paper.seconds / one.ours.seconds:.1f}",
                    _hours(one.paper_20.seconds),
                    f"{one.paper_20.seconds / one.ours.seconds:.1f}",
                ]
                for one in self.long
            ),
        )

    def _times(self, paper: Paper) -> str:
        ours = next((one for one in self.ours if one.slots == paper.slots), None)
        return f"{paper.makespan / ours.makespan:.1f}" if ours else "–"

    def bars(self) -> Iterator[Bar]:
        """What the picture shows: multiples of the bound."""
        for one in self.ours:
            yield Bar(f"tessy, {one.slots} at once, measured", one.ratio, "ours")
        for two in self.long:
            yield Bar(f"tessy, {two.slots} at once, long traces", two.ours.seconds / two.bound_seen, "ours")
            yield Bar(f"paper 10/5, {two.slots}, long traces", two.paper.seconds / two.bound_seen, "paper")
            yield Bar(f"paper 20, {two.slots}, long traces", two.paper_20.seconds / two.bound_seen, "paper")


def write(results: Results, docs: Path) -> None:
    """Put tables and picture where the documentation has them."""
    page = docs / "performance.md"
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    tables = "\n".join(results.tables())
    page.write_text(f"{before}{_BEGIN}\n\n{tables}\n\n{_END}{after}", encoding="utf-8")
    (docs / "performance.svg").write_text(picture(list(results.bars())), encoding="utf-8")


def _table(heading: str, rows: Iterator[Sequence[object]]) -> Iterator[str]:
    columns = heading.split("|")
    yield "| " + " | ".join(columns) + " |"
    yield "|" + " ---: |" * len(columns)
    for row in rows:
        yield "| " + " | ".join(map(str, row)) + " |"


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.2f} h" if seconds > 3600 else f"{seconds:.0f} s"
