"""What tessy ships itself, registered as any plugin package would: nothing heavy is imported here.

The only module of the core that knows a policy, a detector or a backend by its name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from tessy.hooks import Plugin, hookimpl

__all__ = [
    "ARCHITECTURES",
    "DEFAULT_ARCHITECTURE",
    "DEFAULT_DETECTOR",
    "DEFAULT_POLICY",
    "EXAMPLES",
    "Architecture",
]

DEFAULT_POLICY = "tessy"
"""Who writes when, where nobody is named."""
DEFAULT_DETECTOR = "boundary"
"""Who labels where a policy needs labels and nobody is named."""
EXAMPLES: Mapping[str, str] = {
    "backend": "teacher=vllm:Qwen/Qwen3-8B@http://localhost:8000/v1?temperature=0.7",
    "detector": DEFAULT_DETECTOR,
    "policy": f"{DEFAULT_POLICY}?k=20",
}
"""A SPEC of each kind, for messages."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """A detector that ``tessy detector train`` can make.

    Attributes:
        detector: who takes the folder.
        module: holds the function ``train``.
        packages: what that imports besides tessy.
        settings: what it can be told besides epochs, base and seed.
        base: what it can start from, for help.
        from_nothing: whether it can start from nothing, too.
    """

    detector: str
    module: str
    packages: tuple[str, ...]
    settings: tuple[str, ...] = ()
    base: str = ""
    from_nothing: bool = True


ARCHITECTURES: Mapping[str, Architecture] = {
    "boundary": Architecture(
        "boundary",
        "tessy.detectors.boundary.train",
        ("torch",),
        base="a trained folder, none: from nothing; default: the shipped weights",
    ),
    "token-classifier": Architecture(
        "hf-boundary",
        "tessy.labelling.token_classifier",
        ("torch", "transformers"),
        ("batch", "learning_rate", "max_length", "device"),
        base="folder or hub id; default: Qwen/Qwen3-0.6B-Base",
        from_nothing=False,
    ),
}
DEFAULT_ARCHITECTURE = "boundary"


def _class(module: str, name: str) -> Callable[[], type[Any]]:
    """A function that imports a class of tessy's."""

    def load() -> type[Any]:
        loaded: type[Any] = getattr(import_module(f"tessy.{module}"), name)
        return loaded

    return load


@hookimpl
def tessy_backends() -> list[Plugin]:
    """No model at all, for trying things out."""
    return [
        Plugin(
            "scripted",
            "deterministic text without a model, for trying a set-up out",
            _class("testing.scripted", "ScriptedBackend"),
        )
    ]


@hookimpl
def tessy_style_detectors() -> list[Plugin]:
    """Trained, and by rules."""
    return [
        Plugin(
            "boundary",
            "a small trained network over words",
            _class("detectors.boundary", "BoundaryDetector"),
        ),
        Plugin(
            "lexicon",
            "rules and word lists; no model",
            _class("detectors.lexicon", "LexiconDetector"),
        ),
    ]


@hookimpl
def tessy_switch_policies() -> list[Plugin]:
    """The settings that the paper compares (TESSY, arXiv 2604.14164), and the student by itself."""
    return [
        Plugin(
            "tessy",
            "style by the student, capability by the teacher (the paper)",
            _class("policies.alternate", "TessyPolicy"),
        ),
        Plugin("teacher-only", "the teacher writes all", _class("policies.solo", "TeacherOnly")),
        Plugin("student-only", "the student writes all", _class("policies.solo", "StudentOnly")),
        Plugin(
            "teacher-think",
            "the teacher thinks, the student answers",
            _class("policies.teacher_think", "TeacherThink"),
        ),
        Plugin(
            "teacher-answer",
            "the student thinks, the teacher answers",
            _class("policies.teacher_answer", "TeacherAnswer"),
        ),
        Plugin(
            "teacher-mix",
            "some rows by the teacher alone, the others by the student alone",
            _class("policies.teacher_mix", "TeacherMix"),
        ),
        Plugin(
            "teacher-reference",
            "the student writes all, shown an answer by the teacher",
            _class("policies.teacher_reference", "TeacherReference"),
        ),
        Plugin(
            "teacher-score",
            "the student writes several, the teacher picks the best",
            _class("policies.teacher_score", "TeacherScore"),
        ),
    ]
