"""``python -m tessy``."""

from __future__ import annotations

from tessy.cli import main

if __name__ == "__main__":
    main()
