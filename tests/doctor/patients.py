"""Backends with one thing wrong each, and a way to examine them on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from importlib.metadata import EntryPoint
from typing import Any, ClassVar

from helpers import on_virtual_time
from tessy.abc import Backend, Capabilities, Options, Session, SwitchPolicy
from tessy.config import RunConfig
from tessy.doctor import Diagnosis, Finding, Report, Settings, Watcher, examine, targets
from tessy.errors import TessyError
from tessy.hooks import Plugin
from tessy.plugins import Registry
from tessy.plugins.collect import Registered
from tessy.plugins.discovery import Source
from tessy.policies.alternate import TessyPolicy
from tessy.policies.solo import StudentOnly, TeacherOnly
from tessy.types import Chunk, Prompt, Request, Usage

SOURCE = Source(EntryPoint("tests", "tests", "tessy"), "tests", "1.0")
POLICIES = {"tessy": TessyPolicy, "teacher-only": TeacherOnly, "student-only": StudentOnly}


def honest(request: Request) -> str:
    """What a good model writes after the doctor's texts."""
    begun = request.thinking + request.answer
    if begun.endswith("code word is"):
        return f" {''.join(c for c in begun if c.isdigit())[:4]}. Now"
    if begun.endswith("eleph"):
        return "ant."
    return " word" * 1000


class Patient(Backend):
    """Healthy. What is wrong with one is said by a class attribute; tokens are words.

    It keeps its own books, so that nobody has to believe the doctor's.
    """

    says: ClassVar[Callable[[Request], str]] = staticmethod(honest)
    ids: ClassVar[bool] = True
    can: ClassVar[Capabilities] = Capabilities()
    marks: ClassVar[tuple[str, str]] = ("<think>\n", "\n</think>\n\n")
    template: ClassVar[int] = 10
    per_token: ClassVar[float] = 0.01
    per_prompt_token: ClassVar[float] = 0.0
    opens: ClassVar[type[PatientSession] | None] = None
    leaks: ClassVar[bool] = False
    gauge: ClassVar[bool] = True
    hangs: ClassVar[bool] = False
    clings: ClassVar[bool] = False
    counts: ClassVar[bool] = True
    refuses: ClassVar[TessyError | None] = None
    start_error: ClassVar[BaseException | None] = None
    start_seconds: ClassVar[float] = 0.0
    starting: ClassVar[int] = 0
    about: ClassVar[Mapping[str, Any]] = {"rate limits": {"requests": 60}}

    def __init__(self, model: str, options: Options, *, url: str | None = None) -> None:
        super().__init__(model, options, url=url)
        self.running = 0
        self.spent = Usage()
        self.sessions: list[PatientSession] = []
        self.requests: list[Request] = []
        self.closed = False
        made.append(self)

    @property
    def capabilities(self) -> Capabilities:
        return self.can

    def row_format(self) -> tuple[str, str]:
        return self.marks

    def start_cost(self) -> int:
        return self.starting

    async def start(self) -> None:
        await asyncio.sleep(self.start_seconds)
        if self.start_error is not None:
            raise self.start_error

    async def close(self) -> None:
        self.closed = True

    def session(self, prompt: Prompt, key: str) -> Session:
        self.sessions.append((self.opens or PatientSession)(self, prompt))
        return self.sessions[-1]

    def count_tokens(self, text: str) -> int | None:
        return len(text.split()) if self.counts else None

    async def active(self) -> int | None:
        return self.running if self.gauge else None

    def facts(self) -> Mapping[str, Any]:
        return self.about


class PatientSession(Session):
    def __init__(self, backend: Patient, prompt: Prompt) -> None:
        self.backend, self.prompt = backend, prompt
        self.counted, self.known, self.closed = Usage(), 0, False

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        backend = self.backend
        backend.requests.append(request)
        if backend.refuses is not None and request.spans:
            raise backend.refuses
        texts = [message.content for message in self.prompt.messages] + [span.text for span in request.spans]
        prompt = sum(len(text.split()) for text in texts) + backend.template
        cached, self.known = min(self.known, prompt - 1), prompt
        self._count(Usage(prompt, cached, 0, 1))
        backend.running += 1
        try:
            if backend.hangs:
                await asyncio.Event().wait()
            await asyncio.sleep(backend.per_prompt_token * (prompt - cached))
            words = backend.says(request).split(" ")
            words = words[:1] + [f" {word}" for word in words[1:]]
            for word in [word for word in words if word][: request.turn.max_tokens]:
                await asyncio.sleep(backend.per_token)
                self._count(Usage(generated=1))
                yield Chunk(word, 1, (1,), (0,)) if backend.ids else Chunk(word, 1, exact=False)
            yield Chunk(finish="length")
        finally:
            if backend.clings:
                await asyncio.Event().wait()
            backend.running -= not backend.leaks

    def _count(self, usage: Usage) -> None:
        self.counted += usage
        self.backend.spent += usage

    def usage(self) -> Usage | None:
        return self.counted if self.backend.counts else None

    async def close(self) -> None:
        self.closed = True


made: list[Patient] = []


def registry(*, policies: Mapping[str, type[SwitchPolicy]] = POLICIES, **backends: type[Backend]) -> Registry:
    """A registry of these, by name."""
    plugins = [
        *(Registered("backend", Plugin(n, "", lambda c=cls: c), SOURCE) for n, cls in backends.items()),
        *(Registered("policy", Plugin(n, "", lambda c=cls: c), SOURCE) for n, cls in policies.items()),
    ]
    return Registry(plugins)


def examined(
    *specs: str,
    of: Registry,
    config: RunConfig | None = None,
    watcher: Watcher | None = None,
    **settings: Any,
) -> Diagnosis:
    """Examine on virtual time; the patients are then in `made`."""
    made.clear()

    async def work() -> Diagnosis:
        clock = asyncio.get_running_loop().time
        chosen = targets(specs, config or RunConfig.model_validate({}))
        return await examine(chosen, of, Settings(clock=clock, **settings), watcher)

    found: Diagnosis = on_virtual_time(work())
    return found


def patient(**attributes: Any) -> type[Patient]:
    """A patient with these attributes."""
    if "says" in attributes:
        attributes["says"] = staticmethod(attributes["says"])
    return type("Ill", (Patient,), attributes)


def examine_one(
    *, config: RunConfig | None = None, watcher: Watcher | None = None, **attributes: Any
) -> Report:
    """The report on one patient."""
    settings = {
        name: attributes.pop(name)
        for name in ("max_tokens", "timeout", "start_timeout")
        if name in attributes
    }
    return examined("p:m", of=registry(p=patient(**attributes)), watcher=watcher, **settings).reports[0]


def finding(report: Report, check: str) -> Finding:
    """What a check found."""
    return next(found for found in report.findings if found.check == check)
