from __future__ import annotations

import shutil
from pathlib import Path

from tessy.fingerprint import fingerprint


def test_a_folder_is_what_is_in_it(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "else" / "other"
    (one / "sub").mkdir(parents=True)
    (one / "a.bin").write_bytes(b"weights")
    (one / "sub" / "b.json").write_text("{}")
    shutil.copytree(one, other)
    (other / ".cache").mkdir()
    (other / ".cache" / "x").write_text("not of the model")
    before = fingerprint(one)
    assert fingerprint(other) == before
    (other / "a.bin").rename(other / "c.bin")
    assert fingerprint(other) != before
    (one / "sub" / "b.json").write_text("{ }")
    assert fingerprint(one) != before


def test_a_file_is_its_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"weights")
    (tmp_path / "b").write_bytes(b"weights")
    (tmp_path / "c").write_bytes(b"weightz")
    assert fingerprint(tmp_path / "a") == fingerprint(tmp_path / "b") != fingerprint(tmp_path / "c")
