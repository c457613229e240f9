"""``tessy report``: one self-contained page about one or several runs."""

from __future__ import annotations

from tessy.report.making import Reported, report

__all__ = ["Reported", "report"]
