"""From run directories to a data set: one row at a time, in the order of the runs and of their rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tessy.errors import ConfigError
from tessy.export.card import Sample, write_card
from tessy.export.choice import Choice, part, prompt_hash
from tessy.export.outputs import FILES, OTHER_FILES, Lines, finish, is_file, need_libraries, prepared
from tessy.export.settings import FORMATS, Settings
from tessy.export.shapes import shape
from tessy.rundata import Row, RunData
from tessy.scoring.published import FILE, read_scores

__all__ = ["Exported", "export"]


@dataclass
class Exported:
    """What an export holds.

    Attributes:
        counts: records by part (``train``, ``validation``).
        dropped: rows left out, by reason.
        tokens: of the exported rows, by author.
        finishes, policies: exported rows by how they ended and by who decided.
        models: by role, of the exported rows; several where runs differ.
        prompts: how many different prompts.
        switches: changes of author, in all exported rows.
        scores: of the exported rows, by name: how many have it, and their sum.
    """

    counts: dict[str, int] = field(default_factory=dict)
    dropped: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)
    finishes: Counter[str] = field(default_factory=Counter)
    policies: Counter[str] = field(default_factory=Counter)
    models: dict[str, set[str]] = field(default_factory=dict)
    prompts: int = 0
    switches: int = 0
    scores: dict[str, tuple[int, float]] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Records in all parts."""
        return sum(self.counts.values())

    def add(self, row: Row, scores: Mapping[str, float]) -> None:
        """Count an exported row."""
        tessy = row.tessy
        self.tokens.update(tessy["tokens"])
        self.finishes[str(tessy["finish"])] += 1
        self.policies[str(tessy["policy"])] += 1
        self.switches += tessy["switches"]
        for role, model in tessy["models"].items():
            self.models.setdefault(role, set()).add(str(model))
        for name, value in scores.items():
            count, total = self.scores.get(name, (0, 0.0))
            self.scores[name] = (count + 1, total + value)


def export(
    runs: Sequence[RunData],
    target: Path,
    settings: Settings,
    progress: Callable[[int], None] = lambda rows: None,
) -> Exported:
    """Write the data set.

    The same rows and settings give the same bytes. Takes the memory of the longest row, and sixteen bytes a
    row for de-duplication or for counting prompts.

    Args:
        runs: whose rows; of several, each record names its own in ``run``.
        target: a folder, or a file that ends in ``.jsonl`` or ``.parquet``.
        settings: what it is to hold.
        progress: told the number of rows read, now and then.

    Raises:
        ConfigError: the target exists or cannot be written, no row is left, a library is missing, or the
            student's template would not show the thinking.
        DataError: a row does not add up.
    """
    _check(target, settings)
    make, choice, found = shape(settings), Choice(settings), Exported()
    prompts: set[bytes] = set()
    sample: Sample | None = None
    with prepared(target, settings) as folder:
        with Lines(folder, target) as lines:
            for read, (run, row, scores) in enumerate(_rows(runs, settings), 1):
                if choice.takes(row, scores):
                    record = make(row)
                    if len(runs) > 1:
                        record["run"] = run.name
                    lines.add(part(row, settings.split), record)
                    found.add(row, scores)
                    prompts.add(prompt_hash(row))
                    sample = sample or Sample(row, record)
                if read % 100 == 0:
                    progress(read)
        found.counts, found.dropped, found.prompts = lines.counts, choice.dropped, len(prompts)
        if sample is None:
            raise ConfigError(_nothing(runs, found))
        finish(lines, settings)
        if not is_file(target):
            write_card(folder, runs, settings, found, sample)
    return found


def _check(target: Path, settings: Settings) -> None:
    if not is_file(target) and target.suffix.lower() in (*FILES, *OTHER_FILES):
        raise ConfigError(
            f"{target}: no format writes a {target.suffix} file; -o names a folder, FILE.jsonl or "
            f"FILE.parquet, and --format ({', '.join(FORMATS)}) what is in it"
        )
    if is_file(target) and settings.split:
        raise ConfigError(f"{target}: is one file; --split writes two, so name a folder with -o")
    if is_file(target) and settings.format == "hf":
        raise ConfigError(f"{target}: --format hf writes a folder; name one with -o")
    if target.suffix == ".jsonl" and settings.format == "parquet":
        raise ConfigError(f"{target}: --format parquet writes no JSON lines; name FILE.parquet or a folder")
    need_libraries(target, settings)


def _rows(runs: Sequence[RunData], settings: Settings) -> Iterator[tuple[RunData, Row, Mapping[str, float]]]:
    for run in runs:
        wanted = settings.scores or (run.folder / FILE).is_file()
        scores = dict(read_scores(run.folder)[1]) if wanted else {}
        for row in run.rows():
            yield run, row, scores.get(row.id, {})


def _nothing(runs: Sequence[RunData], found: Exported) -> str:
    names = ", ".join(str(run.folder) for run in runs)
    if not found.dropped:
        return f"{names}: no finished row yet; there is nothing to export"
    why = ", ".join(f"{reason} ({count:,})" for reason, count in found.dropped.most_common())
    return f"{names}: no row is left after the filters: {why}"
