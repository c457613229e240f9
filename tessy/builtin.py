"""What tessy ships itself, registered as any plugin package would: nothing heavy is imported here."""

from __future__ import annotations

from typing import Any

from tessy.hooks import Plugin, hookimpl

__all__: list[str] = []


def _lexicon() -> type[Any]:
    from tessy.detectors.lexicon import LexiconDetector

    return LexiconDetector


def _tessy() -> type[Any]:
    from tessy.policies.alternate import TessyPolicy

    return TessyPolicy


def _teacher_only() -> type[Any]:
    from tessy.policies.solo import TeacherOnly

    return TeacherOnly


def _student_only() -> type[Any]:
    from tessy.policies.solo import StudentOnly

    return StudentOnly


def _boundary() -> type[Any]:
    from tessy.detectors.boundary import BoundaryDetector

    return BoundaryDetector


def _scripted() -> type[Any]:
    from tessy.testing.scripted import ScriptedBackend

    return ScriptedBackend


@hookimpl
def tessy_backends() -> list[Plugin]:
    """No model at all, for trying things out."""
    return [Plugin("scripted", "deterministic text without a model, for trying a set-up out", _scripted)]


@hookimpl
def tessy_style_detectors() -> list[Plugin]:
    """Trained, and by rules."""
    return [
        Plugin("boundary", "a small trained network over words", _boundary),
        Plugin("lexicon", "rules and word lists; no model", _lexicon),
    ]


@hookimpl
def tessy_switch_policies() -> list[Plugin]:
    """The paper's algorithm and its two baselines."""
    return [
        Plugin("tessy", "style by the student, capability by the teacher (the paper)", _tessy),
        Plugin("teacher-only", "the teacher writes all", _teacher_only),
        Plugin("student-only", "the student writes all", _student_only),
    ]
