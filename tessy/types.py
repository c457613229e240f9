"""The words that core and plugins exchange: plain frozen values, no behaviour beyond joining text.

Offsets are in characters (Unicode code points), half-open, and count from the start of the text they
speak of: of the draft for `Cut`, of the window for `Label`, of the chunk for `Chunk.offsets`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

__all__ = [
    "Chunk",
    "Cut",
    "Done",
    "Finish",
    "Json",
    "Keep",
    "Kind",
    "Label",
    "Message",
    "Needs",
    "Phase",
    "Prepared",
    "Prompt",
    "Reply",
    "Request",
    "Role",
    "Scores",
    "Seam",
    "Selected",
    "Span",
    "TokenLogprob",
    "Turn",
    "TurnRecord",
    "Usage",
    "Window",
]

Role = str
"""``"teacher"``, ``"student"``, or another one that a policy declares."""
Phase = Literal["think", "answer"]
Kind = Literal["style", "capability"]
Seam = Literal["word", "exact"]
Finish = Literal["end_of_thinking", "end_of_turn", "length", "stop", "aborted"]
"""Why a stream ended; `None` in its place means that it goes on."""
Json = Any
"""A value that JSON can hold."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation, as the prompt file has it."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """The conversation that the models are to answer; ends before the assistant's turn."""

    messages: tuple[Message, ...]

    @classmethod
    def user(cls, text: str) -> Prompt:
        """A prompt of one user message."""
        return cls((Message("user", text),))


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of committed text by one author; the ledger is a sequence of these.

    ``ids`` are the author's own tokens as its session reported them, kept verbatim; they cover the
    first ``covered`` characters of ``text`` (a seam may split the last token) and are followed by the
    tokens of the end mark if the author wrote one. They mean something only to the session of that
    author's model. ``tokens`` counts the tokens that begin inside the text; ``exact`` is false where
    the engine could only estimate. ``turn`` numbers the turn that wrote it; a long turn has several
    spans. ``kind`` is what the detector called most of it, ``None`` where nothing was labelled.
    """

    author: Role
    phase: Phase
    text: str
    turn: int
    tokens: int
    ids: tuple[int, ...] | None = None
    covered: int = 0
    exact: bool = True
    kind: Kind | None = None
    via: str | None = None
    labels: tuple[Label, ...] = ()


@dataclass(frozen=True, slots=True)
class Turn:
    """What a policy wants next: this model goes on in this phase, at most so far.

    Attributes:
        role: who writes.
        phase: ``think`` continues the thinking; ``answer`` closes it (if it is open) and answers.
        max_tokens: at most this many of the writer's tokens; ``None``: until the model stops or the
            trace's own limit.
        stop: strings that end the turn; the text is kept up to the end of the string. The core looks
            for them in the stream, no backend has to.
        sampling: overrides of the backend's sampling options for this turn alone.
        top_logprobs: how many alternatives per token the policy wants to see in the draft.
        checkpoint: text that `watch` has let pass is final, so the core may commit it every 256 tokens
            and resume inside the turn. Leave it off when `review` may still reject the whole draft.
        memo: the policy's word to its own `watch` and `review`, which find it in ``draft.turn.memo``.
    """

    role: Role
    phase: Phase = "think"
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    sampling: Mapping[str, Json] | None = None
    top_logprobs: int = 0
    checkpoint: bool = False
    memo: Json = None


@dataclass(frozen=True, slots=True)
class Done:
    """The policy has nothing more to write; the trajectory is finished."""

    note: Json = None


@dataclass(frozen=True, slots=True)
class Keep:
    """`SwitchPolicy.review`: the draft stays as it is."""

    note: Json = None


@dataclass(frozen=True, slots=True)
class Cut:
    """Keep the draft's first ``at`` characters and drop the rest.

    The mark that ends the thinking or the turn belongs to the rest: ``at=len(draft)`` keeps all text and
    drops the end, so that the other model may go on. A draft that ended otherwise is then kept whole.

    ``seam="word"`` lets the core move the cut to the nearest place on the left that is safe for both
    tokenizers; ``"exact"`` cuts right there. ``note`` (JSON) is journaled with the turn: a policy's
    memory, which survives a resume.
    """

    at: int
    note: Json = None
    seam: Seam = "word"


@dataclass(frozen=True, slots=True)
class TurnRecord:
    """A finished turn as the journal holds it, also one that kept nothing.

    ``kept`` and ``drafted`` are characters. ``finish`` is why the stream ended (``aborted`` if the
    policy cut it while it ran). ``cut`` says whether something was cut off.
    """

    n: int
    role: Role
    phase: Phase
    kept: int
    drafted: int
    tokens: int
    finish: Finish
    cut: bool
    note: Json = None


@dataclass(frozen=True, slots=True)
class Request:
    """What a session is asked to continue.

    ``spans`` is the whole trace so far, of all authors, in order: read-only, valid during the call. A
    session that keeps its own token list needs only those it has not seen. ``seed`` belongs to the
    whole turn; ``done`` is how many of the turn's tokens stand in ``spans`` already (after a resume):
    a deterministic engine goes on as if it had never stopped (see `tessy.seeds.block_seed`). ``closed``:
    the thinking has ended; whoever answers puts the chat format's closing mark first.

    Only backends with `Capabilities.capped` see the last two, and may see any ``done``; those with
    `Capabilities.ahead` see the first of them. ``uncommitted``: how many of the last ``spans`` are of a turn
    that is under way and may still be cut off, or be another text. ``more``: if this request ends by its
    length, a further one goes on with the turn; what may be the beginning of a mark is left for that.
    """

    turn: Turn
    spans: Sequence[Span]
    seed: int
    done: int = 0
    closed: bool = False
    uncommitted: int = 0
    more: bool = False

    @property
    def thinking(self) -> str:
        """The thinking so far, joined (O(length): text-only sessions need it, others do not)."""
        return join(self.spans, "think")

    @property
    def answer(self) -> str:
        """The answer so far, joined."""
        return join(self.spans, "answer")


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """Log-probability (natural) of a generated token and its best alternatives, best first."""

    logprob: float
    rank: int | None = None
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a stream.

    ``offsets[i]`` is the character of ``text`` at which token ``i`` begins; a token belongs to the span
    of its first character, and one that begins inside a character begins where the token before it does.
    Tokens of an end mark stand at ``len(text)``. ``ids``, ``offsets`` and
    ``logprobs`` run in parallel; ``ids`` and ``offsets`` are ``None`` where the engine hides tokens, and
    ``tokens`` is then its count or estimate (``exact=False``). Plain thinking and plain answer only:
    the chat format's marks never appear in ``text``. The last chunk, and only it, has ``finish``.
    """

    text: str = ""
    tokens: int = 0
    ids: tuple[int, ...] | None = None
    offsets: tuple[int, ...] | None = None
    exact: bool = True
    logprobs: tuple[TokenLogprob, ...] | None = None
    via: str | None = None
    finish: Finish | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as an engine counts them. ``prompt`` includes ``cached``; ``generated`` all it sampled.

    ``estimated``: of how many ``requests`` prompt or cached tokens are an estimate, as the stream was aborted
    before the engine had told.
    """

    prompt: int = 0
    cached: int = 0
    generated: int = 0
    requests: int = 0
    estimated: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt + other.prompt,
            self.cached + other.cached,
            self.generated + other.generated,
            self.requests + other.requests,
            self.estimated + other.estimated,
        )

    def __sub__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt - other.prompt,
            self.cached - other.cached,
            self.generated - other.generated,
            self.requests - other.requests,
            self.estimated - other.estimated,
        )


@dataclass(frozen=True, slots=True)
class Scores:
    """How a model rates a given continuation, token by token (its own tokens)."""

    offsets: tuple[int, ...]
    logprobs: tuple[TokenLogprob, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """Text for a detector to label.

    ``text`` is a stretch of one trajectory's thinking that begins at character ``anchor`` of it;
    ``anchor`` depends on position only, never on how the text arrived. Labels are wanted from
    ``text[new_from]`` on. ``author`` writes what is new. A shorter text under the same ``key`` than
    before is a rollback. ``final``: label to the end, nothing follows (or a word so long that its end is
    not waited for). ``prompt`` is what the trajectory answers, where there is one: a scorer needs it.
    """

    key: str
    author: Role
    anchor: int
    text: str
    new_from: int
    final: bool = False
    prompt: Prompt | None = None


@dataclass(frozen=True, slots=True)
class Label:
    """``text[start:end]`` is style (or not), with probability ``p`` that this is right."""

    start: int
    end: int
    style: bool
    p: float = 1.0


@dataclass(frozen=True, slots=True)
class Needs:
    """What a policy needs; nothing else is computed, and what a backend lacks is refused at start.

    Attributes:
        roles: whose models it uses, also those that only judge.
        continues: roles that must go on from text they did not write.
        labels: style and capability in ``draft.labels``; the run then has a detector.
        top_logprobs: by role, how many alternatives per generated token it asks for in a `Turn`.
        scores: roles whose models must rate given text (`Context.score`).
        score_alternatives: by role, how many alternatives per token such a rating must list.
        shared_vocabulary: all roles must have one vocabulary, as cuts between any two tokens need it.
    """

    roles: tuple[Role, ...] = ("teacher", "student")
    continues: tuple[Role, ...] = ("teacher", "student")
    labels: bool = False
    top_logprobs: Mapping[Role, int] = field(default_factory=dict)
    scores: tuple[Role, ...] = ()
    score_alternatives: Mapping[Role, int] = field(default_factory=dict)
    shared_vocabulary: bool = False


@dataclass(frozen=True, slots=True)
class Prepared:
    """What `SwitchPolicy.prepare` made of a prompt; journaled, so that a resume does not buy it again.

    ``prompts`` by role (missing: the original), ``stored`` the messages that the row shows (``None``:
    the original), ``metadata`` goes into the row under ``tessy.prepared``.
    """

    prompts: Mapping[Role, Prompt] = field(default_factory=dict)
    stored: tuple[Message, ...] | None = None
    metadata: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Selected:
    """Which of several candidates becomes the row (`SwitchPolicy.select`).

    Attributes:
        candidate: its number, `Trajectory.candidate`.
        note: JSON that the row shows under ``tessy.selected`` (scores, reasons).
        keep_others: the row shows the other candidates' text too, under ``tessy.candidates``.
    """

    candidate: int
    note: Json = None
    keep_others: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's answer to a question of a policy's own (`Context.ask`).

    ``logprobs`` are the answer's tokens', if they were asked for; ``thinking`` is what the model thought
    before it, empty unless it was asked to think. ``finish`` is ``length`` if the answer was cut off, or
    the thinking was: ``text`` is empty then.
    """

    text: str
    thinking: str = ""
    finish: Finish = "end_of_turn"
    logprobs: tuple[TokenLogprob, ...] = ()


@runtime_checkable
class _Joining(Protocol):
    """Spans that know their text without being gone through."""

    def joined(self, phase: Phase) -> str: ...


def join(spans: Iterable[Span], phase: Phase) -> str:
    """The plain text of one phase."""
    if isinstance(spans, _Joining):
        return spans.joined(phase)
    return "".join(span.text for span in spans if span.phase == phase)
