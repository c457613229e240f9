"""What backends share whose engines show tokens: vocabularies, token lists, streams of tokens."""

from __future__ import annotations

from tessy.tokens.codec import Codec, split_controls
from tessy.tokens.ledger import TokenLedger
from tessy.tokens.offsets import token_offsets
from tessy.tokens.reader import TokenReader

__all__ = ["Codec", "TokenLedger", "TokenReader", "split_controls", "token_offsets"]
