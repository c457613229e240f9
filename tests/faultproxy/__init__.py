"""A proxy between a client and a completion server that breaks requests in every known way, by a seed."""

from __future__ import annotations

from faultproxy.catalogue import BREAKS, FAULTS, FINISHED, HARMLESS, WAITS, Fault
from faultproxy.proxy import FaultProxy

__all__ = ["BREAKS", "FAULTS", "FINISHED", "HARMLESS", "WAITS", "Fault", "FaultProxy"]
