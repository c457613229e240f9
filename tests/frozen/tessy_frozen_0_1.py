"""A plugin package as it was published for tessy-llm 0.1: all three kinds, in the words of that version.

Never edit this file: what runs here has to run with every later 0.1, and with later versions until a
major one says otherwise.
"""

import re

from pydantic import Field

from tessy import (
    Backend,
    Capabilities,
    Chunk,
    Cut,
    Done,
    Keep,
    Label,
    Needs,
    Options,
    Plugin,
    Prepared,
    Session,
    StyleDetector,
    SwitchPolicy,
    Turn,
    hookimpl,
)


class CounterOptions(Options):
    words: int = Field(default=6, ge=1, description="words of thinking")


class CounterSession(Session):
    def __init__(self, options):
        self.options = options

    async def generate(self, request):
        turn = request.turn
        begun = len((request.thinking if turn.phase == "think" else request.answer).split())
        total = self.options.words if turn.phase == "think" else 1
        for n in range(begun, total):
            if turn.max_tokens is not None and n - begun >= turn.max_tokens:
                yield Chunk(finish="length")
                return
            yield Chunk(f" {turn.role}{n}", tokens=1, ids=(n,), offsets=(0,))
        yield Chunk(finish="end_of_thinking" if turn.phase == "think" else "end_of_turn")

    async def close(self):
        pass


class CounterBackend(Backend):
    Options = CounterOptions

    @property
    def capabilities(self):
        return Capabilities(seeds=True)

    async def start(self):
        self.started = True

    async def close(self):
        self.started = False

    def session(self, prompt, key):
        assert self.started
        assert prompt.messages[-1].role == "user"
        return CounterSession(self.options)

    def count_tokens(self, text):
        return len(text.split())


class EvenDetector(StyleDetector):
    lookahead = 1

    async def label(self, windows):
        return [list(self.read(window)) for window in windows]

    def read(self, window):
        end = 0
        for match in re.finditer(
            r"\s*\S+(?=\s)|\s*\S+\Z|\s+\Z" if window.final else r"\s*\S+(?=\s)", window.text
        ):
            end = match.end()
            if end > window.new_from:
                even = re.sub(r"\D", "", match[0])[-1:] in tuple("02468")
                yield Label(max(match.start(), window.new_from), end, even)

    def forget(self, key):
        pass


class RelayOptions(Options):
    longest: int = Field(default=3, ge=1, description="tokens a turn may have")


class RelayPolicy(SwitchPolicy):
    Options = RelayOptions

    def __init__(self, options):
        super().__init__(options)
        self.longest = options.longest

    @property
    def needs(self):
        return Needs(roles=("teacher", "student"), continues=("teacher", "student"), labels=True)

    async def prepare(self, prompt, context):
        return Prepared(metadata={"question": prompt.messages[-1].content, "seed": context.seed})

    def next_turn(self, trajectory):
        if trajectory.phase == "answer":
            return Done(note="answered") if trajectory.ended == "end_of_turn" else Turn("student", "answer")
        last = trajectory.last
        if last is None:
            return Turn("student", max_tokens=self.longest)
        role = "student" if last.role == "teacher" else "teacher"
        return Turn(role, max_tokens=self.longest, memo=last.note)

    def watch(self, draft):
        if draft.phase == "answer" or draft.role == "teacher":
            return None
        at = draft.first(style=False)
        return Cut(at, note={"cut": at}) if at and at < draft.settled else None

    async def review(self, draft, context):
        return Keep(note={"tokens": draft.tokens, "memo": draft.turn.memo})


@hookimpl
def tessy_backends():
    return [Plugin("counter", "counts its words", lambda: CounterBackend)]


@hookimpl
def tessy_style_detectors():
    return [Plugin("even", "even numbers are style", lambda: EvenDetector)]


@hookimpl
def tessy_switch_policies():
    return (Plugin("relay", "a word by the student, three by the teacher", lambda: RelayPolicy),)
