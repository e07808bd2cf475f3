"""The screens of the game, one at a time: joining, playing, and how it ended.

Layer 4. Runs on: the game thread. Needs pygame-ce.
"""
