"""The protocol without I/O: bytes and the time come in, bytes and events go out.

Layer 1. Runs on: the reactor thread. Nothing here imports Twisted, sockets, clocks, randomness
or threads.
"""
