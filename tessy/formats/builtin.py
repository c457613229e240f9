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
# Thinking of earlier turns is not shown again, nor the line breaks that separated it, as in Qwen3.
_WITHOUT_THINKING = (
    "{{ m.content.split('</think>')[-1].lstrip('\n') "
    "if m.role == 'assistant' and '</think>' in m.content else m.content }}"
)

BUILTIN: dict[str, str] = {
    "chatml": _CHATML,
    "chatml-think": _CHATML.replace("{{ m.content }}", _WITHOUT_THINKING),
    "qwen3": _CHATML.replace("{{ m.content }}", _WITHOUT_THINKING),
    "deepseek-r1": (
        "{{ bos_token }}{{ messages | selectattr('role', 'equalto', 'system')"
        " | map(attribute='content') | join('\n\n') }}"
        "{% for m in messages %}{% if m.role == 'user' %}<｜User｜>{{ m.content }}"
        "{% elif m.role == 'assistant' %}<｜Assistant｜>"
        "{{ m.content.split('</think>')[-1] }}<｜end▁of▁sentence｜>"
        "{% endif %}{% endfor %}{% if add_generation_prompt %}<｜Assistant｜><think>\n{% endif %}"
    ),
    "harmony": (
        "{% for m in messages %}"
        "{% if m.role == 'system' %}{% if m.content %}<|start|>developer<|message|># Instructions\n\n"
        "{{ m.content }}\n\n<|end|>{% endif %}"
        "{% elif m.role == 'assistant' %}<|start|>assistant<|channel|>final<|message|>{{ m.content }}<|end|>"
        "{% else %}<|start|>{{ m.role }}<|message|>{{ m.content }}<|end|>{% endif %}"
        "{% endfor %}{% if add_generation_prompt %}<|start|>assistant{% endif %}"
    ),
    "llama3": (
        "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
        "{{ m.content | trim }}<|eot_id|>{% endfor %}"
        "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
    ),
}
"""Jinja sources by name. They say what the published templates say of a conversation, without the preambles.

``harmony`` has none of gpt-oss's system message (date, effort of reasoning, channels); a prompt's own
system message is a developer's there. ``llama3`` has none of the dates of Llama 3.1 and later.
"""


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
