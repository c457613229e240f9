"""The two networks: Qwen3 with a few layers, and the optimisers that train them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from chat import FORMATS
from tokenizers import Tokenizer
from torch import nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, Qwen3Config, Qwen3ForCausalLM

__all__ = ["build", "optimisers", "save"]

_SHAPES: dict[str, dict[str, Any]] = {
    "teacher": {"hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 5},
    "student": {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 4},
}


def build(role: str, tokenizer: Tokenizer) -> Any:
    """A freshly initialised model for the role's vocabulary."""
    form = FORMATS[role]
    config = Qwen3Config(
        vocab_size=tokenizer.get_vocab_size(),
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=2048,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.token_to_id(form.eos),
        pad_token_id=tokenizer.token_to_id(form.pad),
        **_SHAPES[role],
    )
    AttentionInterface.register("causal_float32", _attend)
    model: Any = Qwen3ForCausalLM
    return model._from_config(config, attn_implementation="causal_float32")


def optimisers(model: nn.Module, rate: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers, AdamW for embeddings and norms."""
    inner = [p for n, p in model.named_parameters() if p.ndim == 2 and "layers." in n]
    outer = [p for n, p in model.named_parameters() if p.ndim != 2 or "layers." not in n]
    return [
        torch.optim.Muon(inner, lr=rate, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(outer, lr=rate, betas=(0.9, 0.95), weight_decay=0.0, fused=True),
    ]


def save(model: Any, folder: Path) -> None:
    """Write config.json, model.safetensors (16-bit) and generation_config.json."""
    half: Any = Qwen3ForCausalLM(model.config)
    half.load_state_dict(model.state_dict())
    half.to(torch.float16).save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)
    defaults = {
        "do_sample": True,
        "temperature": 0.6,
        "top_k": 20,
        "top_p": 0.95,
        "eos_token_id": model.config.eos_token_id,
        "pad_token_id": model.config.pad_token_id,
    }
    path = folder / "generation_config.json"
    path.write_text(json.dumps(defaults, indent=2) + "\n", encoding="utf-8")


def _attend(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention in float32: its bfloat16 backward pass is twice as slow on a CPU.

    Training pads on the right only, so the causal mask is the whole mask.
    """
    with torch.autocast("cpu", enabled=False):
        mixed = scaled_dot_product_attention(
            query.float(), key.float(), value.float(), is_causal=True, enable_gqa=True
        )
    return mixed.transpose(1, 2).contiguous().to(query.dtype), None
