"""The data-set card: what is in an export and how it was made. Only what is known, nothing guessed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import yaml

from tessy._version import __version__
from tessy.export.settings import Settings
from tessy.export.shapes import Record
from tessy.rundata import Row, RunData

if TYPE_CHECKING:
    from tessy.export.exporting import Exported

__all__ = ["Sample", "write_card"]

_LONGEST = 1500
"""Characters of a text in the sample row."""
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_PAPER = "https://arxiv.org/abs/2604.14164"


@dataclass(frozen=True)
class Sample:
    """The first row, and the record made of it."""

    row: Row
    record: Record


def write_card(
    folder: Path, runs: Sequence[RunData], settings: Settings, found: Exported, sample: Sample
) -> None:
    """Write ``README.md``."""
    text = "".join(f"{line}\n" for line in _lines(runs, settings, found, sample))
    (folder / "README.md").write_text(text, encoding="utf-8", errors="backslashreplace")


def _lines(runs: Sequence[RunData], settings: Settings, found: Exported, sample: Sample) -> Iterator[str]:
    yield "---"
    yield yaml.safe_dump(_front(settings, found), sort_keys=False, allow_unicode=True).rstrip()
    yield "---"
    yield ""
    yield "# Reasoning traces"
    yield ""
    yield (
        f"Made with tessy {__version__}, with which a teacher and a student model write traces together, "
        f"span by span ([TESSY]({_PAPER})); below is who took part in these."
    )
    yield ""
    yield "## What is in it"
    yield ""
    yield from _table(_facts(settings, found))
    yield ""
    yield "## How it was made"
    yield ""
    yield "Models with revisions, templates and sampling, policy, detector, seed: as recorded at the start."
    for run in runs:
        yield ""
        yield f"Run `{run.name}`:"
        yield ""
        yield "```yaml"
        yield yaml.safe_dump(_identity(run), sort_keys=False, allow_unicode=True).rstrip()
        yield "```"
    yield ""
    yield "## A record"
    yield ""
    yield "The first one; texts are cut to their first characters where `…` ends them."
    yield ""
    yield "````json"
    yield json.dumps(_shortened(sample.record), indent=1, ensure_ascii=False)
    yield "````"


def _front(settings: Settings, found: Exported) -> dict[str, Any]:
    size = next((name for limit, name in _SIZES if found.rows < limit), "1M<n<10M")
    front: dict[str, Any] = {
        "tags": ["tessy", "reasoning", "synthetic"],
        "size_categories": [size],
    }
    if settings.format != "hf":
        ending = "parquet" if settings.format == "parquet" else "jsonl"
        files = [{"split": part, "path": f"{part}.{ending}"} for part in found.counts]
        front["configs"] = [{"config_name": "default", "data_files": files}]
    return front


def _facts(settings: Settings, found: Exported) -> Iterator[tuple[str, str]]:
    for part, count in found.counts.items():
        yield f"records, {part}", f"{count:,}"
    yield "different prompts", f"{found.prompts:,}"
    kept = sum(found.tokens.values())
    for author, tokens in sorted(found.tokens.items(), reverse=True):
        yield f"tokens by the {author}", f"{tokens:,} ({tokens / kept:.1%})" if kept else "0"
    yield "changes of author, a record", f"{found.switches / found.rows:.1f}"
    for role, models in sorted(found.models.items(), reverse=True):
        yield role, ", ".join(f"`{model}`" for model in sorted(map(_public, models)))
    yield "policy", _counted(found.policies)
    yield "how they ended", _counted(found.finishes)
    for name, (count, total) in sorted(found.scores.items()):
        yield f"score {name}, mean of {count:,}", f"{total / count:.4g}"
    yield "format", f"{settings.format}, thinking {_reasoning(settings)}"
    if settings.masks:
        yield "loss mask", " or ".join(map(str, settings.masks))
    if settings.split:
        yield "split", f"{settings.split:g} of the prompts, by a hash of the prompt"
    yield "filters", ", ".join(_filters(settings)) or "none"
    if found.dropped:
        yield "rows left out", _counted(found.dropped)


def _reasoning(settings: Settings) -> str:
    if settings.reasoning == "inline" or settings.format == "tessy-paper":
        return "in the text"
    return f"in field `{settings.reasoning_field}`"


def _filters(settings: Settings) -> Iterator[str]:
    for name in ("finish", "min_length", "max_length", "min_switches", "max_switches"):
        value = getattr(settings, name)
        if value not in (None, ()):
            yield f"{name.replace('_', ' ')} {value if isinstance(value, int) else ', '.join(value)}"
    yield from map(str, settings.scores)
    if settings.dedup != "none":
        yield f"duplicates by {settings.dedup}"


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({count:,})" for name, count in sorted(counts.items()))


def _table(facts: Iterator[tuple[str, str]]) -> Iterator[str]:
    yield "| | |"
    yield "| --- | --- |"
    for name, value in facts:
        yield f"| {_cell(name)} | {_cell(value)} |"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _public(model: str) -> str:
    """A model's SPEC without what concerns this machine alone: its URL, its folder."""
    name, _, rest = model.partition(":")
    rest = rest.partition("@http")[0]
    return f"{name}:{PurePath(rest).name if rest.startswith(('/', '~', '.')) else rest}"


def _identity(run: RunData) -> Any:
    """The run's identity, which holds no path, key or URL; a run without journal has none."""
    if not (run.folder / "journal.sqlite").is_file():
        return {"journal": "not there any more"}
    store = run.journal()
    try:
        recorded = store.meta("identity")
    finally:
        store.close()
    return None if recorded is None else json.loads(recorded)


def _shortened(value: Any) -> Any:
    if isinstance(value, str):
        return value if len(value) <= _LONGEST else value[:_LONGEST] + "…"
    if isinstance(value, list):
        return [_shortened(item) for item in value[:20]]
    if isinstance(value, dict):
        return {key: _shortened(item) for key, item in value.items()}
    return value
