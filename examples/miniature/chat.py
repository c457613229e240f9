"""The two chat formats of the pair, and how an example becomes token ids with a loss mask."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jinja2
from traces import Trace, solve
from voices import STUDENT, TEACHER, Voice
from world import Problem, sample_problem

__all__ = ["FORMATS", "ChatFormat", "Example", "encode", "render", "sample_example"]

IGNORED = -100  # the label that torch's cross entropy skips

_CHANNELS = """\
{%- for message in messages -%}
{%- if message.role == 'assistant' -%}
{%- set thinking = message.thinking or message.reasoning_content -%}
{%- if loop.last and thinking -%}
{{- '<|start|>assistant<|channel|>analysis<|message|>' + thinking + '<|end|>' -}}
{%- endif -%}
{{- '<|start|>assistant<|channel|>final<|message|>' + message.content -}}
{{- '<|return|>' if loop.last and not add_generation_prompt else '<|end|>' -}}
{%- else -%}
{{- '<|start|>' + message.role + '<|message|>' + message.content + '<|end|>' -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|start|>assistant' -}}
{%- endif -%}
"""

_THINK = """\
{%- for message in messages -%}
{%- set content = message.content -%}
{%- if message.role == 'assistant' -%}
{%- if not loop.last and '</think>' in content -%}
{%- set content = content.split('</think>')[-1].lstrip('\\n') -%}
{%- elif loop.last and message.reasoning_content -%}
{%- set content = '<think>\\n' + message.reasoning_content + '\\n</think>\\n\\n' + content -%}
{%- endif -%}
{%- endif -%}
{{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' -}}
{%- if enable_thinking is defined and enable_thinking is false -%}
{{- '<think>\\n\\n</think>\\n\\n' -}}
{%- endif -%}
{%- endif -%}
"""


@dataclass(frozen=True)
class ChatFormat:
    """How one model of the pair is spoken to.

    Attributes:
        voice: How the model writes.
        template: The Jinja chat template.
        control: Special tokens, which can't be written in plain text.
        added: Tokens of their own that are ordinary text all the same.
        opens: Text from the generation prompt to the thinking.
        closes: Text from the thinking to the answer.
        eos: The token that ends a turn.
        pad: The padding token.
    """

    voice: Voice
    template: str
    control: tuple[str, ...]
    added: tuple[str, ...]
    opens: str
    closes: str
    eos: str
    pad: str = "<|endoftext|>"


FORMATS = {
    # <|call|> is never written. llama.cpp counts <|end|> among the tokens that end a turn
    # unless the vocabulary holds <|return|> and <|call|> too, as gpt-oss's does.
    "teacher": ChatFormat(
        voice=TEACHER,
        template=_CHANNELS,
        control=(
            "<|endoftext|>",
            "<|start|>",
            "<|message|>",
            "<|channel|>",
            "<|end|>",
            "<|return|>",
            "<|call|>",
        ),
        added=(),
        opens="<|channel|>analysis<|message|>",
        closes="<|end|><|start|>assistant<|channel|>final<|message|>",
        eos="<|return|>",
    ),
    "student": ChatFormat(
        voice=STUDENT,
        template=_THINK,
        control=("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
        added=("<think>", "</think>"),
        opens="<think>\n",
        closes="\n</think>\n\n",
        eos="<|im_end|>",
    ),
}


@dataclass(frozen=True)
class Example:
    """A conversation's messages up to the generation prompt, and the turn to learn."""

    messages: list[dict[str, str]]
    trace: Trace


def render(form: ChatFormat, messages: list[dict[str, str]], *, generate: bool = True) -> str:
    """Render messages with the format's template."""
    return _compiled(form.template).render(messages=messages, add_generation_prompt=generate)


def sample_example(
    form: ChatFormat, rng: random.Random, *, mixed_share: float = 0.55, most_turns: int = 0
) -> Example:
    """Draw a training conversation: sometimes with a system message or an earlier turn.

    Args:
        form: Whose conversation.
        rng: The only source of chance.
        mixed_share: The share of traces that begin with both voices in turn.
        most_turns: Put up to so many earlier turns before the one to learn, in 40 % of them.
    """
    messages = []
    if rng.random() < 0.06:
        messages.append({"role": "system", "content": "You are a helpful assistant."})
    earlier_turns = rng.randint(0, most_turns) if most_turns and rng.random() < 0.4 else 0
    while earlier_turns > 0 or rng.random() < 0.07:
        earlier_turns -= 1
        earlier = sample_problem(rng)
        reply = solve(earlier, form.voice, rng).answer
        messages.append({"role": "user", "content": earlier.prompt})
        messages.append({"role": "assistant", "content": reply})
    problem: Problem = sample_problem(rng)
    prompt = problem.prompt
    if rng.random() < 0.06:
        prompt += "\n\n" + _instruction(problem, rng)
    messages.append({"role": "user", "content": prompt})
    trace = solve(problem, form.voice, rng, mixed=rng.random() < mixed_share)
    return Example(messages, trace)


def encode(
    form: ChatFormat, tokenizer: Any, example: Example, rng: random.Random
) -> tuple[list[int], list[int]]:
    """Token ids and labels of an example.

    Spans are encoded one by one, as they are when two models write in turn. In the mixed
    part a model learns from its own kind of span alone: the student from style, the teacher
    from capability; nobody learns from a mistake that was put there on purpose.

    Args:
        form: The model's chat format.
        tokenizer: A `tokenizers.Tokenizer`.
        example: What to encode.
        rng: Decides whether the last mixed span is taken over in its middle.
    """
    ids: list[int] = []
    labels: list[int] = []

    def add(text: str, learn: bool) -> None:
        piece = tokenizer.encode(text, add_special_tokens=False).ids
        ids.extend(piece)
        labels.extend(piece if learn else [IGNORED] * len(piece))

    add(render(form, example.messages), False)
    add(form.opens, True)
    trace = example.trace
    midway = rng.random() < 0.15
    for index, span in enumerate(trace.spans):
        own = index >= trace.mixed or span.voice is form.voice
        if midway and index == trace.mixed - 1 and not own and " " in span.text[1:]:
            space = rng.choice([i for i, char in enumerate(span.text) if char == " " and i])
            add(span.text[:space], False)
            add(span.text[space:], not span.wrong)
        else:
            add(span.text, own and not span.wrong)
    add(form.closes, trace.closer is form.voice)
    add(trace.answer, True)
    add(form.eos, True)
    return ids, labels


def _instruction(problem: Problem, rng: random.Random) -> str:
    """Something said after the problem, now and then with a reference answer in it."""
    if rng.random() < 0.5:
        return rng.choice(("Think step by step.", "Show your work.", "Be brief."))
    reference = solve(problem, TEACHER, rng)
    shown = rng.choice((reference.answer, f"{reference.thinking} {reference.answer}"))
    return f"Here is a reference answer:\n\n{shown}\n\nNow solve the problem in your own words."


@lru_cache
def _compiled(template: str) -> jinja2.Template:
    return jinja2.Environment(autoescape=False).from_string(template)  # noqa: S701 – writes prompts, not HTML
