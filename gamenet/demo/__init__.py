"""A small game that shows gamenet at work and puts load on it.

Layer 4. ``field`` is the world, ``game`` the server's side of it, ``bots`` the players and ``run``
what ``gamenet demo`` does: a real server and real players in processes of their own.
"""
