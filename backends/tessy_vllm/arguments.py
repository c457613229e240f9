"""From options to vLLM's own engine arguments: known names, converted values, defaults that fit us."""

from __future__ import annotations

import dataclasses
import json
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from tessy.errors import ConfigError
from tessy_vllm.options import VllmOptions

if TYPE_CHECKING:
    from vllm import AsyncEngineArgs

__all__ = ["engine_arguments"]

_DEFAULTS = {
    # An engine that is not a server gets small ones from vLLM, whatever the GPU.
    "max_num_seqs": 256,
    "max_num_batched_tokens": 8192,
    "enable_prefix_caching": True,
    "disable_log_stats": True,
}
_OURS = ("model", "tokenizer", "revision", "max_logprobs")


def engine_arguments(model: str, options: VllmOptions) -> AsyncEngineArgs:
    """The arguments of an engine for ``model``.

    Raises:
        ConfigError: vLLM has no such argument, or it cannot have that value.
    """
    from vllm import AsyncEngineArgs

    fields = {field.name: field.type for field in dataclasses.fields(AsyncEngineArgs)}
    for name in _OURS:
        fields.pop(name, None)
    values: dict[str, Any] = {name: value for name, value in _DEFAULTS.items() if name in fields}
    for name, given in options.engine.items():
        if name not in fields:
            near = get_close_matches(name, [*fields, *VllmOptions.model_fields], 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"backend vllm: {name}: neither tessy nor vLLM has such an option{hint}")
        values[name] = _convert(name, given, fields[name])
    return AsyncEngineArgs(
        model=model,
        tokenizer=options.tokenizer or model,
        revision=options.revision,
        max_logprobs=max(1, options.max_logprobs),
        **values,
    )


def _convert(name: str, given: Any, hint: Any) -> Any:
    """A command line's string as what the argument is."""
    if not isinstance(given, str):
        return given
    try:
        adapter = TypeAdapter(hint)
    except Exception:  # a type of vLLM's own that pydantic cannot read
        return _guess(given)
    try:
        return adapter.validate_python(json.loads(given) if given[:1] in "[{" else given)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]["msg"]
        raise ConfigError(f"backend vllm: {name}: {problem}, got {given!r}") from None
    except ValueError as error:
        raise ConfigError(f"backend vllm: {name}: is not JSON: {error}") from None


def _guess(given: str) -> Any:
    try:
        return json.loads(given)
    except ValueError:
        return given
