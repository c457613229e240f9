"""A GGUF model whose weights are noise: it costs what a real one of its size does, and writes printable text.

The vocabulary is the miniature student's. One dimension of the residual stream is the same for every token
and no layer writes to it; the output matrix uses it to keep control tokens, ends of turns and incomplete
characters from being drawn. So its texts are encoded like any other's, and nothing ends but by its limit.
"""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt

__all__ = ["random_gguf"]

_HEAD = 64
_NEVER = -30.0


def random_gguf(path: Path, vocabulary: Path, *, layers: int = 12, width: int = 768, seed: int = 0) -> Path:
    """Write it unless it is there: a llama with ``layers`` × ``width``, matrices in F16.

    12 × 768 have 114 million weights and take 230 MB.
    """
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    reader = gguf.GGUFReader(vocabulary)
    writer = gguf.GGUFWriter(fresh, "llama")
    _add_shape(writer, layers, width)
    tokens = _add_vocabulary(writer, reader)
    rng = np.random.default_rng(seed)
    _add_tensors(writer, rng, tokens, layers, width)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    fresh.replace(path)
    return path


def _add_shape(writer: gguf.GGUFWriter, layers: int, width: int) -> None:
    writer.add_name(f"noise {layers} × {width}")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_context_length(4096)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(4 * width)
    writer.add_head_count(width // _HEAD)
    writer.add_head_count_kv(width // _HEAD)
    writer.add_rope_dimension_count(_HEAD)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.0)


def _add_vocabulary(writer: gguf.GGUFWriter, reader: gguf.GGUFReader) -> npt.NDArray[np.bool_]:
    """Copy it; which tokens may be drawn."""
    for name, field in reader.fields.items():
        if name.startswith("tokenizer."):
            kind = field.types[0]
            writer.add_key_value(
                name, field.contents(), kind, field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
            )
    texts: list[str] = reader.fields["tokenizer.ggml.tokens"].contents()
    kinds: list[int] = reader.fields["tokenizer.ggml.token_type"].contents()
    writer.add_vocab_size(len(texts))
    # Byte-level BPE spells a space "Ġ"; all other printable ASCII stands for itself.
    return np.array(
        [
            kind == gguf.TokenType.NORMAL and text.replace("Ġ", " ").isascii()
            for text, kind in zip(texts, kinds, strict=True)
        ]
    )


def _add_tensors(
    writer: gguf.GGUFWriter,
    rng: np.random.Generator,
    drawable: npt.NDArray[np.bool_],
    layers: int,
    width: int,
) -> None:
    def matrix(name: str, rows: int, columns: int, *, silent: bool = False) -> None:
        values = rng.standard_normal((rows, columns), np.float32) / np.float32(columns**0.5)
        if silent:
            values[0] = 0
        writer.add_tensor(f"{name}.weight", values.astype(np.float16))

    def norm(name: str) -> None:
        writer.add_tensor(f"{name}.weight", np.ones(width, np.float32))

    embedding = rng.standard_normal((len(drawable), width), np.float32)
    embedding[:, 0] = 4
    writer.add_tensor("token_embd.weight", embedding.astype(np.float16))
    for layer in range(layers):
        block = f"blk.{layer}"
        norm(f"{block}.attn_norm")
        for part in ("attn_q", "attn_k", "attn_v"):
            matrix(f"{block}.{part}", width, width)
        matrix(f"{block}.attn_output", width, width, silent=True)
        norm(f"{block}.ffn_norm")
        matrix(f"{block}.ffn_gate", 4 * width, width)
        matrix(f"{block}.ffn_up", 4 * width, width)
        matrix(f"{block}.ffn_down", width, 4 * width, silent=True)
    norm("output_norm")
    output = rng.standard_normal((len(drawable), width), np.float32) / np.float32(width**0.5)
    output[:, 0] = np.where(drawable, 0, _NEVER)
    writer.add_tensor("output.weight", output.astype(np.float16))
