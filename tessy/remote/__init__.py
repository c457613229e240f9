"""Limits and endpoints, one layer for all remote backends; it knows nothing of any HTTP library."""

from __future__ import annotations

from tessy.remote.endpoint import EndpointStats
from tessy.remote.options import RemoteOptions
from tessy.remote.pool import Pool

__all__ = ["EndpointStats", "Pool", "RemoteOptions"]
