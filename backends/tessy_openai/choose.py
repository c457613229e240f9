"""Which continuation mode is used: the one asked for, or the first of the service's that is proven to work.

``auto`` spends at most one request of 16 tokens a mode on it. A service known for raw completions has only to
answer them: they continue by definition. ``instruct`` is never chosen.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from tessy.errors import BackendDown, BackendRejected, BackendUnavailable, ConfigError
from tessy.formats import ChatFormat, detect, load_template
from tessy.tokens.files import ModelFiles, load_model_files
from tessy_openai.modes import RAW
from tessy_openai.options import Mode, OpenAIOptions
from tessy_openai.services import Service
from tessy_openai.trial import Trial, trial_cost

__all__ = ["Choice", "choose", "probe_cost"]

log: logging.Logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Choice:
    """A mode, why it, and what it works with."""

    mode: Mode
    why: str
    files: ModelFiles | None
    format: ChatFormat | None


def probe_cost(options: OpenAIOptions, service: Service) -> int:
    """Tokens that `choose` spends at most."""
    # A list that is not exact may lack the model: then the service is asked.
    asked = 0 if service.lists_all else max(trial_cost("none"), trial_cost("text"))
    return asked + (sum(map(trial_cost, service.modes)) if options.continuation == "auto" else 0)


async def choose(trial: Trial, root: str, doubt: str = "") -> Choice:
    """The continuation mode for a model of a service.

    Args:
        trial: asks the service.
        root: where the service has the model from, if it says so.
        doubt: why the service may not have the model; it is asked then.

    Raises:
        ConfigError: the one asked for lacks something, or there is no such model; says what.
    """
    options = trial.options
    files, problem = await asyncio.to_thread(_files, options, trial.model, root)
    format = _format(options, files)
    if options.continuation == "auto":
        chosen = await _proven(trial, files, format, problem)
    else:
        _require(trial.what, options.continuation, files, format, problem)
        chosen = Choice(options.continuation, "asked for", files, format)
    if doubt:
        await _settle(trial, chosen, doubt)
    return chosen


async def _proven(trial: Trial, files: ModelFiles | None, format: ChatFormat | None, problem: str) -> Choice:
    """The first of the service's modes that works."""
    service, tried = trial.service, []
    for mode in service.modes:
        try:
            why = _lacks(mode, files, format, problem) or await trial.fails(mode, files)
        except BackendUnavailable as error:
            # Some servers break at what they do not know; one that is busy is so in every mode.
            if mode == service.modes[-1] or error.busy or isinstance(error, BackendDown):
                raise
            why = str(error)
        if not why:
            proof = trial.proof(mode)
            return Choice(mode, f"{service.name}: {proof}", files, format)
        tried.append(f"{mode}: {why}")
    why = "; ".join(tried) or f"{service.name} documents no way to continue a text"
    return Choice("none", why, files, format)


async def _settle(trial: Trial, chosen: Choice, doubt: str) -> None:
    """Whether the service takes a model that no list has.

    Raises:
        ConfigError: it does not.
    """
    doubt = f"{trial.url} {doubt}"
    try:
        if not trial.answered:
            await trial.ask(chosen.mode, chosen.files)
    except BackendRejected as error:
        raise ConfigError(f"{error}; {doubt}") from error
    log.warning("%s: is used since it answers, though %s", trial.what, doubt)


def _lacks(mode: Mode, files: ModelFiles | None, format: ChatFormat | None, problem: str) -> str:
    """What a mode would need and is not there."""
    if mode == "token-ids" and files is None:
        return f"no tokenizer ({problem})"
    return "no chat template; give one with template=" if mode in RAW and format is None else ""


def _files(options: OpenAIOptions, model: str, root: str) -> tuple[ModelFiles | None, str]:
    """The model's tokenizer if it can be had without being asked for, and why not."""
    if options.tokenizer:
        return load_model_files(options.tokenizer), ""
    problem = "name it with tokenizer="
    if options.continuation in ("auto", "token-ids"):
        for source in dict.fromkeys([root, model]):
            if source.count("/") < 1:
                continue
            try:
                return load_model_files(source), ""
            except ConfigError as error:
                problem = str(error)
    return None, problem


def _format(options: OpenAIOptions, files: ModelFiles | None) -> ChatFormat | None:
    if files is not None and (options.template or files.template):
        return files.format(options.template)
    if options.template:
        return detect(load_template(options.template), name=options.template)
    return None


def _require(
    what: str, mode: Mode, files: ModelFiles | None, format: ChatFormat | None, problem: str
) -> None:
    if mode == "token-ids" and files is None:
        raise ConfigError(f"{what}: continuation=token-ids needs the model's tokenizer: {problem}")
    if mode in RAW and format is None:
        raise ConfigError(
            f"{what}: continuation={mode} needs the model's chat template: template= names a Jinja file or a "
            "built-in one, tokenizer= a model folder or hub id that has it"
        )
