"""Templates that may be named instead of a file: for models that come without one."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from tessy.errors import ConfigError

__all__ = ["BUILTIN", "load_template"]

_CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# Thinking of earlier turns is not shown again, as Qwen3 and DeepSeek-R1 have it.
_WITHOUT_THINKING = "{{ m.content.split('</think>')[-1] | trim if m.role == 'assistant' else m.content }}"

BUILTIN: dict[str, str] = {
    "chatml": _CHATML,
    "chatml-think": _CHATML.replace("{{ m.content }}", _WITHOUT_THINKING),
    "qwen3": _CHATML.replace("{{ m.content }}", _WITHOUT_THINKING),
    "deepseek-r1": (
        "{{ bos_token }}"
        "{% for m in messages %}{% if m.role == 'system' %}{{ m.content }}{% endif %}{% endfor %}"
        "{% for m in messages %}{% if m.role == 'user' %}<｜User｜>{{ m.content }}"
        "{% elif m.role == 'assistant' %}<｜Assistant｜>"
        "{{ m.content.split('</think>')[-1] }}<｜end▁of▁sentence｜>"
        "{% endif %}{% endfor %}{% if add_generation_prompt %}<｜Assistant｜><think>\n{% endif %}"
    ),
    "harmony": (
        "{% for m in messages %}<|start|>{{ m.role }}"
        "{% if m.role == 'assistant' %}<|channel|>final{% endif %}<|message|>{{ m.content }}<|end|>"
        "{% endfor %}{% if add_generation_prompt %}<|start|>assistant{% endif %}"
    ),
    "llama3": (
        "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
        "{{ m.content | trim }}<|eot_id|>{% endfor %}"
        "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
    ),
}
"""Jinja sources by name. ``harmony`` is the conversation alone, without the system preamble of gpt-oss."""


def load_template(spec: str) -> str:
    """The Jinja source that ``template=`` names: a built-in name or a file.

    Raises:
        ConfigError: there is no such name or file.
    """
    if spec in BUILTIN:
        return BUILTIN[spec]
    path = Path(spec)
    if path.is_dir():
        path /= "chat_template.jinja"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    near = get_close_matches(spec, BUILTIN, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ConfigError(f"template={spec}: neither a file nor one of {', '.join(sorted(BUILTIN))}{hint}")
