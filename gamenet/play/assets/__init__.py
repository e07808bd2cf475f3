"""The game's pictures and its map, as ``make art`` writes them.

Layer 4.
"""
