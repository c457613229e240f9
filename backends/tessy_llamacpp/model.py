"""A GGUF model: loading it, its vocabulary, its metadata."""

from __future__ import annotations

import ctypes
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import llama_cpp as lib

from tessy.errors import BackendError, ConfigError
from tessy.tokens import split_controls
from tessy_llamacpp.native import log_tap

__all__ = ["Model", "check_file", "revision"]

_WHOLE = 64 << 20
_EDGE = 1 << 20


def check_file(model: str) -> Path:
    """The model's path, known to be a GGUF file.

    Raises:
        ConfigError: it is not.
    """
    path = Path(model).expanduser()
    if not path.exists():
        raise ConfigError(f"{model}: no such file; --backend llamacpp:PATH names a GGUF file")
    if path.is_dir():
        raise ConfigError(f"{model}: is a folder; --backend llamacpp:PATH names a GGUF file in it")
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise ConfigError(f"{model}: cannot be read: {error.strerror}") from error
    if magic != b"GGUF":
        raise ConfigError(f"{model}: is not a GGUF file (it begins with {magic!r})")
    return path


def revision(path: Path) -> str:
    """A hash that tells two files apart: of all of a small file, of size and both ends of a large one."""
    size = path.stat().st_size
    digest = sha256(str(size).encode())
    with path.open("rb") as file:
        if size <= _WHOLE:
            digest.update(file.read())
        else:
            digest.update(file.read(_EDGE))
            file.seek(-_EDGE, 2)
            digest.update(file.read())
    return digest.hexdigest()[:16]


class Model:
    """A loaded model and its vocabulary (a `tessy.tokens.Codec`). Encoding is thread-safe.

    Raises:
        BackendError: llama.cpp cannot load it.
    """

    def __init__(self, path: Path, gpu_layers: int) -> None:
        tap = log_tap()
        tap.clear()
        params = lib.llama_model_default_params()
        params.n_gpu_layers = gpu_layers
        self.path = path
        self.handle = lib.llama_model_load_from_file(str(path).encode(), params)
        if not self.handle:
            raise BackendError(f"{path}: llama.cpp cannot load it (gpu_layers={gpu_layers}): {tap.errors()}")
        self.vocab = lib.llama_model_get_vocab(self.handle)
        self.n_vocab = lib.llama_vocab_n_tokens(self.vocab)
        self._spm = lib.llama_vocab_type(self.vocab) == lib.LLAMA_VOCAB_TYPE_SPM
        self._load_vocabulary()

    def _load_vocabulary(self) -> None:
        special = lib.LLAMA_TOKEN_ATTR_CONTROL | lib.LLAMA_TOKEN_ATTR_USER_DEFINED
        self._ends: set[int] = set()
        self._special: dict[int, str] = {}
        self._pieces: list[bytes | None] = [None] * self.n_vocab
        for token in range(self.n_vocab):
            if lib.llama_vocab_get_attr(self.vocab, token) & special:
                self._special[token] = lib.llama_vocab_get_text(self.vocab, token).decode("utf-8", "replace")
            if lib.llama_vocab_is_eog(self.vocab, token):
                self._ends.add(token)
        self.controls = frozenset(text for text in self._special.values() if len(text) > 1)

    def close(self) -> None:
        """Free it. Idempotent."""
        if self.handle:
            lib.llama_model_free(self.handle)
            self.handle = None

    # --- Codec ----------------------------------------------------------------------------------

    def encode(self, text: str) -> list[int]:
        """See `tessy.tokens.Codec.encode`."""
        ids: list[int] = []
        # llama.cpp matches user-defined tokens even in plain text, so their strings are taken apart.
        for piece in split_controls(text, self.controls):
            ids += self._fragment(piece)
        return ids

    def encode_control(self, text: str) -> list[int]:
        """See `tessy.tokens.Codec.encode_control`."""
        return self._tokenize(text, parse_special=True)

    def piece(self, token: int) -> bytes:
        """See `tessy.tokens.Codec.piece`."""
        found = self._pieces[token]
        if found is None:
            found = self._pieces[token] = b"" if token in self._special else self._piece(token)
        return found

    def is_end(self, token: int) -> bool:
        """See `tessy.tokens.Codec.is_end`."""
        return token in self._ends

    @property
    def ends(self) -> frozenset[int]:
        """All tokens that end a turn."""
        return frozenset(self._ends)

    def bos(self) -> int | None:
        """See `tessy.tokens.Codec.bos`."""
        token: int = lib.llama_vocab_bos(self.vocab)
        return token if lib.llama_vocab_get_add_bos(self.vocab) and token >= 0 else None

    def _fragment(self, text: str) -> list[int]:
        if not self._spm:
            return self._tokenize(text, parse_special=False)
        # SentencePiece puts a space before a text; a line break in front keeps it from the fragment.
        guard = self._tokenize("\n", parse_special=False)
        return self._tokenize("\n" + text, parse_special=False)[len(guard) :]

    def _tokenize(self, text: str, *, parse_special: bool) -> list[int]:
        self._check_open()
        data = text.encode("utf-8", "replace")
        size = len(data) + 16
        while True:
            tokens = (lib.llama_token * size)()
            count = lib.llama_tokenize(self.vocab, data, len(data), tokens, size, False, parse_special)
            if count >= 0:
                return list(tokens[:count])
            size = -count

    def _piece(self, token: int) -> bytes:
        self._check_open()
        size = 64
        while True:
            buffer = ctypes.create_string_buffer(size)
            count = lib.llama_token_to_piece(self.vocab, token, buffer, size, 0, False)
            if count >= 0:
                return buffer.raw[:count]
            size = -count

    def _check_open(self) -> None:
        """Raise what llama.cpp would not: it dies of a vocabulary that was freed."""
        if not self.handle:
            raise BackendError(f"{self.path}: the model is closed")

    # --- metadata -------------------------------------------------------------------------------

    @property
    def train_context(self) -> int:
        """Tokens of context it was made for."""
        return int(lib.llama_model_n_ctx_train(self.handle))

    @property
    def parameters(self) -> int:
        """How many weights it has."""
        return int(lib.llama_model_n_params(self.handle))

    @property
    def template(self) -> str | None:
        """Its own chat template."""
        found = lib.llama_model_chat_template(self.handle, None)
        return None if found is None else found.decode("utf-8", "replace")

    def token_text(self, token: int) -> str:
        """A control token as the template spells it."""
        return lib.llama_vocab_get_text(self.vocab, token).decode("utf-8", "replace") if token >= 0 else ""

    @property
    def bos_text(self) -> str:
        """The template's ``bos_token``."""
        return self.token_text(lib.llama_vocab_bos(self.vocab))

    @property
    def eos_text(self) -> str:
        """The template's ``eos_token``."""
        return self.token_text(lib.llama_vocab_eos(self.vocab))

    def meta(self, key: str) -> str | None:
        """A value of the file's metadata, as text."""
        buffer = ctypes.create_string_buffer(256)
        count = lib.llama_model_meta_val_str(self.handle, key.encode(), buffer, len(buffer))
        return None if count < 0 else buffer.value.decode("utf-8", "replace")

    @cached_property
    def vocabulary(self) -> str:
        """A hash over all tokens: equal where tokens mean the same."""
        digest = sha256()
        for token in range(self.n_vocab):
            digest.update(lib.llama_vocab_get_text(self.vocab, token) + b"\0")
        return digest.hexdigest()[:16]
