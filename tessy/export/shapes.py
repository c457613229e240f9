"""Records of each format, made from rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from tessy.errors import ConfigError
from tessy.export.masks import inline, phase
from tessy.export.settings import Settings
from tessy.export.templates import Checked, Rendered, load
from tessy.formats import BUILTIN
from tessy.rundata import Row

__all__ = ["Record", "Shape", "shape"]

Record: TypeAlias = dict[str, Any]
Shape: TypeAlias = Callable[[Row], Record]

_SAID = frozenset({"id", "messages", "tessy", "prompt", "completion", "conversations", "dialogs", "text"})
"""Columns that hold the prompt in some form; two forms of it in one record would mislead a trainer."""
_FROM = {"user": "human", "assistant": "gpt"}


def shape(settings: Settings) -> Shape:
    """How rows become records.

    Raises:
        ConfigError: the template cannot be used.
    """
    if settings.format == "tessy-paper":
        return _paper
    if settings.format == "prompt-completion" and settings.template:
        rendered = Rendered(load(settings.template), settings)
        return lambda row: _text(row, settings, rendered)
    if settings.template in BUILTIN:
        raise ConfigError(
            f"--template {settings.template}: a built-in template says how prompts look, not how a finished "
            "thinking is shown; to check records, name the student's folder, hub id or template file"
        )
    checked = Checked(load(settings.template), settings) if settings.template else None
    return lambda row: _chat(row, settings, checked)


def _chat(row: Row, settings: Settings, checked: Checked | None) -> Record:
    written, mask = _written(row, settings)
    prompt = row.messages[:-1]
    if checked is not None:
        checked(row, [*prompt, written])
    record = _own(row)
    if settings.format == "sharegpt":
        said = {"from": "gpt", "value": written["content"]}
        said |= {key: value for key, value in written.items() if key not in ("role", "content")}
        heard = [{"from": _FROM.get(m["role"], m["role"]), "value": m["content"]} for m in prompt]
        record["conversations"] = [*heard, said]
    elif settings.format == "prompt-completion":
        record |= {"prompt": prompt, "completion": [written]}
    else:
        record["messages"] = [*prompt, written]
    return _with(record, row, settings, mask)


def _written(row: Row, settings: Settings) -> tuple[dict[str, str], Record | None]:
    """The assistant's message, and what of its texts is learnt."""
    masks = settings.masks
    if settings.reasoning == "inline":
        learnt = {"content": inline(row, masks)} if masks else None
        return {"role": "assistant", "content": row.content}, learnt
    field = settings.reasoning_field
    if masks:
        learnt = {"content": phase(row, "answer", masks), field: phase(row, "think", masks)}
    else:
        learnt = None
    return {"role": "assistant", "content": row.answer, field: row.thinking}, learnt


def _text(row: Row, settings: Settings, rendered: Rendered) -> Record:
    prompt, completion, ranges = rendered(row)
    record = _own(row) | {"prompt": prompt, "completion": completion}
    return _with(record, row, settings, None if ranges is None else {"completion": ranges})


def _with(record: Record, row: Row, settings: Settings, mask: Record | None) -> Record:
    if mask is not None:
        record["loss_mask"] = mask
    if settings.metadata:
        record["tessy"] = row.tessy
    return record


def _own(row: Row) -> Record:
    """The id and the input's own columns."""
    return {"id": row.id, **{key: value for key, value in row.data.items() if key not in _SAID}}


def _paper(row: Row) -> Record:
    """The fields that the paper's published script writes."""
    own = {key: value for key, value in row.data.items() if key not in ("messages", "tessy")}
    tokens = row.tessy["tokens"]
    if isinstance(own.get("dialogs"), list):
        # Its script adds to the conversation that came in; what we had to answer is its prompt.
        own["dialogs"] = [*row.messages[:-1], {"role": "assistant", "content": row.content}]
    else:
        own["content"] = row.content
    return {
        **own,
        "n_tokens_total": sum(tokens.values()),
        "n_tokens_teacher": tokens.get("teacher", 0),
        "n_tokens_student": tokens.get("student", 0),
    }
