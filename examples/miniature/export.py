"""Writes a model folder as GGUF, for llama.cpp: matrices in float16, norms in float32."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from safetensors.numpy import load_file

__all__ = ["export_gguf"]

_LAYER_TENSORS = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def export_gguf(folder: Path, path: Path) -> None:
    """Convert a Qwen3 folder (safetensors, tied embeddings) to one GGUF file."""
    config, tokenizer_config, generation = (
        json.loads((folder / name).read_text(encoding="utf-8"))
        for name in ("config.json", "tokenizer_config.json", "generation_config.json")
    )
    writer = gguf.GGUFWriter(path, "qwen3")
    writer.add_name(f"tessy miniature {folder.name}")
    _add_shape(writer, config)
    _add_sampling(writer, generation)
    _add_vocabulary(writer, folder, tokenizer_config)
    for name, tensor in sorted(load_file(folder / "model.safetensors").items()):
        wide = np.float32 if tensor.ndim == 1 else np.float16
        writer.add_tensor(_gguf_name(name), tensor.astype(wide))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_shape(writer: gguf.GGUFWriter, config: dict[str, Any]) -> None:
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_vocab_size(config["vocab_size"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])


def _add_sampling(writer: gguf.GGUFWriter, generation: dict[str, Any]) -> None:
    writer.add_sampling_temp(generation["temperature"])
    writer.add_sampling_top_k(generation["top_k"])
    writer.add_sampling_top_p(generation["top_p"])


def _add_vocabulary(writer: gguf.GGUFWriter, folder: Path, tokenizer_config: dict[str, Any]) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    ids = dict(tokenizer["model"]["vocab"])
    kinds = dict.fromkeys(ids.values(), gguf.TokenType.NORMAL)
    for token in tokenizer["added_tokens"]:
        ids[token["content"]] = token["id"]
        special = token["special"]
        kinds[token["id"]] = gguf.TokenType.CONTROL if special else gguf.TokenType.USER_DEFINED
    tokens = sorted(ids, key=lambda token: ids[token])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([kinds[ids[token]] for token in tokens])
    writer.add_token_merges([" ".join(merge) for merge in tokenizer["model"]["merges"]])
    writer.add_eos_token_id(ids[tokenizer_config["eos_token"]])
    writer.add_pad_token_id(ids[tokenizer_config["pad_token"]])
    # Without an id of its own llama.cpp takes token 11, a comma, for the beginning of text.
    writer.add_bos_token_id(ids[tokenizer_config["pad_token"]])
    writer.add_add_bos_token(False)
    writer.add_chat_template((folder / "chat_template.jinja").read_text(encoding="utf-8"))


def _gguf_name(name: str) -> str:
    """The GGUF name of a transformers tensor."""
    stem = name.removeprefix("model.").removesuffix(".weight")
    outer = {"embed_tokens": "token_embd", "norm": "output_norm"}
    if stem in outer:
        return f"{outer[stem]}.weight"
    _, layer, part = stem.split(".", 2)
    return f"blk.{layer}.{_LAYER_TENSORS[part]}.weight"
