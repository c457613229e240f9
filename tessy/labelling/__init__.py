"""Making and measuring style detectors: sample, annotate, train, evaluate, label. Prints nothing."""

from __future__ import annotations

from tessy.labelling.segments import Segment, read_segments, write_segments

__all__ = ["Segment", "read_segments", "write_segments"]
