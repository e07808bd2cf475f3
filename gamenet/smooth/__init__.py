"""Smoothness: draw between snapshots, predict one's own moves, rewind to what a player saw.

Layer 2. Runs on: the game thread. Each part is usable alone, with any engine.
"""

from gamenet.smooth.history import History
from gamenet.smooth.interpolation import Interpolator
from gamenet.smooth.prediction import Predictor

__all__ = ["History", "Interpolator", "Predictor"]
