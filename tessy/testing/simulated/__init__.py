"""A simulated OpenAI-compatible server with a stated model of its speed, for benchmarks and tests of clients.

It serves over a real socket what vLLM serves: streams in text and in token ids, its vocabulary, its gauges.
Behind it are no weights but a model of time (`Speed`), of texts (`Lengths`) and a prefix cache. Every token
that it writes is logged, so what a client threw away, and how fast it could have been, is known from the
server's side.

Run it in a process of its own, so that it takes no time from the client: `python -m tessy.testing.simulated`,
or `simulated_servers` from Python.
"""

from __future__ import annotations

from tessy.testing.simulated.model import Lengths, Speed
from tessy.testing.simulated.process import simulated_servers
from tessy.testing.simulated.records import Account, Log, Record, account
from tessy.testing.simulated.server import SimulatedServer

__all__ = ["Account", "Lengths", "Log", "Record", "SimulatedServer", "Speed", "account", "simulated_servers"]
