"""A game to play on the demo's field, drawn by pygame-ce: ``gamenet play``.

Layer 4. ``world`` is what the player knows, ``view`` draws it, ``scenes`` are the screens, ``app``
is the loop and ``hosting`` a server in the same process. What does not draw imports no pygame,
which only the extra ``gamenet[play]`` brings.
"""
