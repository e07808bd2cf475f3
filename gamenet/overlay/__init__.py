"""A net graph for players: what the network does, drawn over the game.

:class:`NetGraph` knows no engine. It watches a client and gives lines of text, sentences of advice
and graphs as plain values; ``gamenet.overlay.pygame_ce`` draws them with pygame-ce,
``gamenet.overlay.text`` as characters, and any other engine can, too.

Layer 4. Runs on: the game thread.
"""

from gamenet.overlay.model import MOST_LEVEL, NetGraph
from gamenet.overlay.shapes import Bar, Bars, Curve, Line, Plot, Style, Verdict

__all__ = [
    "MOST_LEVEL",
    "Bar",
    "Bars",
    "Curve",
    "Line",
    "NetGraph",
    "Plot",
    "Style",
    "Verdict",
]
