"""What this package registers; imports nothing heavy."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import Any

from tessy import Plugin, hookimpl

__all__: list[str] = []


def _load(module: str, name: str) -> type[Any]:
    found: type[Any] = getattr(import_module(f"tessy_cooperation.{module}"), name)
    return found


def _policy(name: str, cls: str, summary: str) -> Plugin:
    return Plugin(name, summary, partial(_load, name.replace("-", "_"), cls))


@hookimpl
def tessy_switch_policies() -> list[Plugin]:
    """One policy a method."""
    return [
        _policy("specreason", "SpecReasonPolicy", "the teacher rates the student's steps (SpecReason)"),
        _policy("nudging", "NudgingPolicy", "the student's words where the teacher is unsure (Nudging)"),
        _policy("r2r-entropy", "R2REntropyPolicy", "the teacher's tokens where the student is unsure (R2R)"),
        _policy(
            "glimprouter", "GlimpRouterPolicy", "a step's first token decides who writes it (GlimpRouter)"
        ),
        _policy(
            "speculative-thinking",
            "SpeculativeThinkingPolicy",
            "the teacher takes over where the student reflects (Speculative Thinking)",
        ),
        _policy("relayllm", "RelayLlmPolicy", "the student asks for help with a command (RelayLLM)"),
        _policy("reward-guided", "RewardGuidedPolicy", "steps of a low reward are the teacher's (RSD)"),
        _policy(
            "adaswitch", "AdaSwitchPolicy", "the teacher takes over once, where they disagree (AdaSwitch)"
        ),
        _policy("skd", "SkdPolicy", "the teacher replaces tokens it finds unlikely (SKD)"),
    ]
