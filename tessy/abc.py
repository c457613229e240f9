"""The three plugin points: `Backend`, `StyleDetector`, `SwitchPolicy`, and what they are given.

A plugin derives from these, implements what is abstract, and is registered through `tessy.hooks`. All
code here is called from one event loop; what blocks belongs in a thread or a process of the plugin's own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict

from tessy.fingerprint import fingerprint
from tessy.types import (
    Chunk,
    Cut,
    Done,
    Json,
    Keep,
    Label,
    Message,
    Needs,
    Prepared,
    Prompt,
    Reply,
    Request,
    Role,
    Scores,
    Selected,
    Turn,
    Usage,
    Window,
)

if TYPE_CHECKING:
    from tessy.draft import Draft
    from tessy.trajectory import Trajectory

__all__ = [
    "Backend",
    "Capabilities",
    "Context",
    "Options",
    "Session",
    "StyleDetector",
    "SwitchPolicy",
]


class Options(BaseModel):
    """A plugin's options: a pydantic model that refuses what it does not know."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


_Options = Options
"""The same under a name that the classes' own attribute ``Options`` does not hide."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a started backend can do.

    Attributes:
        continuation: it can go on from a text that somebody else began, exactly at its end.
        top_logprobs: how many alternatives per generated token it can report (0: none).
        ranks: its `TokenLogprob.rank` is filled.
        scoring: `Session.score` works.
        seeds: equal request and equal seed give equal text.
        vocabulary: identifies the token-to-text mapping; equal ids mean that tokens can be exchanged.
        max_active: trajectories it serves well at once; ``None``: no limit of its own.
        context: its context in tokens; ``None``: unknown.
        capped: what it writes after an abort costs, so each request of a thinking that may be cut gets a
            limit of the core's own, learnt from the trajectory; if that is reached, a further request of the
            same turn goes on. Its sessions must then know `Request.uncommitted` and `Request.more`.
        ahead: it may be asked for a turn while the turn before settles, and that request be given up: an
            abort stops it at once and costs next to nothing. Its sessions must then know
            `Request.uncommitted`.
        kv_tokens: tokens that its KV memory holds, replicas together; active trajectories are kept within
            it. ``None``: unknown, or no bound.
        stall_seconds: how long the core waits for the next chunk of a stream before it gives up with a
            `BackendTimeout`; ``None``: the backend keeps time itself, because a request may wait in it.
    """

    continuation: bool = True
    top_logprobs: int = 0
    ranks: bool = False
    scoring: bool = False
    seeds: bool = False
    vocabulary: str | None = None
    max_active: int | None = None
    context: int | None = None
    capped: bool = False
    ahead: bool = False
    kv_tokens: int | None = None
    stall_seconds: float | None = 1800.0


class Session(ABC):
    """One model's view of one trajectory. One call at a time.

    A session lives as long as its trajectory is active, so an engine can keep the KV cache between
    turns. Everything it needs stands in each `Request`; what it remembers is only a cache.
    """

    @abstractmethod
    def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        """Continue ``request.spans`` as ``request.turn`` says, as a stream of chunks.

        The last chunk carries ``finish``. ``aclose()`` on the stream, or cancelling the reader, aborts
        the generation on the engine; it returns when the engine has stopped working for it. Text of a
        chunk is final: an incomplete UTF-8 sequence or a possible mark is held back.

        Raises:
            BackendError: the engine failed or refused; the session stays usable for a retry.
        """

    async def score(self, request: Request, text: str, *, top: int = 0) -> Scores:
        """Rate ``text`` as the continuation of ``request.spans``; needs ``Capabilities.scoring``."""
        raise NotImplementedError(f"{type(self).__name__} cannot score")

    def usage(self) -> Usage | None:
        """All that the engine has counted for this session so far, also what nobody read.

        ``None`` (the default): the core counts the chunks it read.
        """
        return None

    async def halt(self) -> None:
        """Nobody will read on from where the last stream ended: stop what the engine still writes there.

        Called between two calls of `generate`, when another model has the next turn, when no turn follows,
        and after a draft that was only looked at. What it costs belongs into `usage`. The session stays
        usable. Idempotent; never raises. Most have nothing to do: their engine stops with the stream.
        """
        return None

    async def close(self) -> None:
        """Give back what the engine holds for this trajectory. Idempotent; never raises."""
        return None


class Backend(ABC):
    """One model behind one engine.

    Constructed with the model (a path, an id) and validated options; construction does no work.
    """

    Options: ClassVar[type[_Options]] = _Options

    def __init__(self, model: str, options: _Options, *, url: str | None = None) -> None:
        self.model = model
        self.options = options
        self.url = url

    @property
    @abstractmethod
    def capabilities(self) -> Capabilities:
        """What it can do; final once `start` has returned."""

    @property
    def in_process(self) -> bool:
        """Whether its engine runs in this process; a run with several worker processes is refused then."""
        return False

    def start_cost(self) -> int:
        """Tokens, prompt and generated, that `start` may spend at most; known before it. Most spend none."""
        return 0

    async def start(self) -> None:
        """Load or connect. Called once, before any session.

        Raises:
            ConfigError: the model or an option is wrong; names file and option.
            BackendError: the engine cannot serve (out of memory, unreachable).
        """
        return None

    async def close(self) -> None:
        """Stop the engine and leave nothing behind. Idempotent."""
        return None

    @abstractmethod
    def session(self, prompt: Prompt, key: str) -> Session:
        """This model's view of one trajectory; ``key`` is a hint for cache affinity."""

    def count_tokens(self, text: str) -> int | None:
        """How many of this model's tokens ``text`` is, as thinking or answer; ``None``: unknown."""
        return None

    async def active(self) -> int | None:
        """Generations that the engine works on right now, by its own count; ``None``: it does not say."""
        return None

    def facts(self) -> Mapping[str, Json]:
        """What ``tessy doctor`` shows of a started backend besides what it measures itself.

        For people: the continuation mode and why it was chosen, servers, rate limits seen so far.
        """
        return {}

    def identity(self) -> Mapping[str, Json]:
        """What makes two runs comparable: model, revision, template, sampling. No path, key or URL."""
        return {"model": self.model, "options": self.options.model_dump(mode="json")}

    def row_format(self) -> tuple[str, str]:
        r"""The marks around the thinking in a stored row, ``("<think>\n", "\n</think>\n\n")`` by default.

        Two empty strings for a model that does not think.
        """
        return "<think>\n", "\n</think>\n\n"


class StyleDetector(ABC):
    """Tells style from capability in a model's thinking, as it streams.

    Labels are a function of the text from the anchor up to ``lookahead`` characters right of the
    labelled position, so they do not depend on chunking and never change once that much is known.
    """

    Options: ClassVar[type[_Options]] = _Options
    lookahead: int = 0
    """Characters right of a position that it wants to see before it is sure: a whole number up to 4096.

    `start` may change it, where only the loaded model says what it needs; afterwards it is final.
    """
    by_words: bool = False
    """It decides about whole words: letters and digits that go on with a word tell it nothing new.

    The core then does not ask at every token, only where something else has come, an end, or 64 characters.
    """

    def __init__(self, options: _Options, *, model: str | None = None) -> None:
        self.options = options
        self.model = model

    async def start(self) -> None:
        """Load what is needed; called once."""
        return None

    async def close(self) -> None:
        """Idempotent."""
        return None

    @abstractmethod
    async def label(self, windows: Sequence[Window]) -> Sequence[Sequence[Label]]:
        """Label a batch, one sequence of labels a window, in its order.

        Labels of a window begin at ``new_from``, follow each other without gap, and reach at least
        ``len(text) - lookahead`` rounded down to a word's start (white space parts words, a no-break
        space does not); with ``final``, the text's end. They may reach further if it is sure. Never
        called again before it has returned; a call may be cancelled, and its windows asked for again,
        in another batch too. It has a minute for one window, and an eighth of that for each further one.
        """

    def guess(self, window: Window) -> Sequence[Label]:
        """What it would say at once of text that it is not sure of yet; empty (the default): nothing.

        Asked behind `label`, for the same window without what has been labelled since: labels from
        ``new_from`` on, without gap, up to wherever it would bet. Where the policy would cut by them the
        next model is asked ahead (`Capabilities.ahead`): each wrong one costs a request, and nothing else.
        Synchronous and quick; it must not change what `label` says.
        """
        return ()

    def forget(self, key: str) -> None:
        """The trajectory is over; drop what was cached for it."""
        return None

    def identity(self) -> Mapping[str, Json]:
        """What makes two runs comparable: options, and the model; asked once `start` has returned.

        A model that is a file or a folder counts by what is in it, so it may be moved; any other by its
        name. A detector that knows the revision of its weights says that.
        """
        model: Json = self.model
        if self.model is not None and (path := Path(self.model).expanduser()).exists():
            model = {"files": fingerprint(path)}
        return {"model": model, "options": self.options.model_dump(mode="json")}


class Context(ABC):
    """What a policy may ask for while it prepares, reviews or selects; usage is booked under a purpose.

    Calls may overlap, but each role's model is asked one thing at a time. Waiting for a model does not
    count towards the time that a policy may take. Seeds follow from the trajectory, the turn and the
    number of the question, so equal questions in equal order get equal answers.

    All methods raise `ConfigError` for a role that the policy does not declare in its needs, and
    `BackendError` where the model cannot answer.
    """

    prompt: Prompt
    trajectory: Trajectory
    """The trace so far, without what is not committed yet of the draft under review; it is empty in
    `SwitchPolicy.select`."""
    seed: int

    @abstractmethod
    async def ask(
        self,
        role: Role,
        messages: Sequence[Message],
        *,
        max_tokens: int | None = None,
        think: bool = False,
        top_logprobs: int = 0,
        sampling: Mapping[str, Json] | None = None,
        purpose: str = "judge",
    ) -> Reply:
        """The answer of ``role``'s model to a conversation of its own.

        ``max_tokens`` limits the answer; with ``think`` the model thinks first, as long as it wants. A
        thinking that does not come to its end gives a reply without text. Neither grows longer than a
        trace may (``--max-length``).
        """

    @abstractmethod
    async def draft(self, turn: Turn, *, purpose: str = "draft") -> Sequence[Chunk]:
        """What ``turn.role`` would write next after the trace so far; nothing of it is kept.

        In `SwitchPolicy.prepare` the trace is empty, in `SwitchPolicy.select` too.
        """

    @abstractmethod
    async def score(self, role: Role, text: str, *, top: int = 0, purpose: str = "judge") -> Scores:
        """How ``role``'s model rates ``text`` as the continuation of the trace so far."""


class SwitchPolicy(ABC):
    """Decides who writes next and where a draft is cut.

    All decisions are pure functions of what they are given, that is, of what the journal holds: a
    resumed run calls `next_turn` again and must get the same turn. What a policy wants to remember
    goes into the ``note`` of a `Cut` or `Keep`. A policy may be asked about many trajectories in any
    order and keeps nothing between calls. Where a row cannot be written and no code is at fault it may
    raise `TraceError` with a reason of its own.
    """

    Options: ClassVar[type[_Options]] = _Options

    def __init__(self, options: _Options) -> None:
        self.options = options

    @property
    @abstractmethod
    def needs(self) -> Needs:
        """Roles, labels, logprobs and scores that it uses."""

    @abstractmethod
    def next_turn(self, trajectory: Trajectory) -> Turn | Done:
        """Who goes on, or that the trace is finished."""

    def watch(self, draft: Draft) -> Cut | None:
        """Called whenever the draft's settled text grows; a `Cut` aborts the stream.

        Synchronous and cheap. A cut at or beyond ``draft.settled`` of a draft still running is an error.
        """
        return None

    async def review(self, draft: Draft, context: Context) -> Keep | Cut:
        """Called once when the stream has ended by itself; may ask the models."""
        return Keep()

    async def prepare(self, prompt: Prompt, context: Context) -> Prepared:
        """Called once per row before its first turn; what it returns is journaled."""
        return Prepared()

    @property
    def candidates(self) -> int:
        """How many trajectories are written for a row, one after the other; at least 1."""
        return 1

    async def select(self, trajectories: Sequence[Trajectory], context: Context) -> Selected:
        """Called once per row when there are several `candidates`: which of them becomes the row.

        ``trajectories`` are those that could be finished, at least one, in order. What it returns is
        journaled. The default takes the first.
        """
        return Selected(trajectories[0].candidate)

    def identity(self) -> Mapping[str, Any]:
        """What makes two runs comparable."""
        return {"options": self.options.model_dump(mode="json")}
