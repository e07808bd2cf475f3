"""Tests of games without sockets and without waiting: a server and its clients in virtual time.

Layer 4. Runs on: the thread of the test. ``docs/TESTING.rst`` has examples.
"""

from __future__ import annotations

from gamenet.testing.network import SimulatedNetwork
from gamenet.testing.reactor import SimulatedReactor
from gamenet.testing.simulation import Pair, Simulation

__all__ = ["Pair", "SimulatedNetwork", "SimulatedReactor", "Simulation"]
