"""What ``tessy doctor`` does: starts backends, tries what traces need of them, and says what it found.

Nothing here prints.
"""

from __future__ import annotations

from tessy.doctor.examine import Diagnosis, Settings, Watcher, examine
from tessy.doctor.finding import Finding, Report
from tessy.doctor.target import Target, targets

__all__ = ["Diagnosis", "Finding", "Report", "Settings", "Target", "Watcher", "examine", "targets"]
