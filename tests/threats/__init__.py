"""
Every threat that ``docs/SECURITY.rst`` lists, as an attack in memory.

What is asserted are counts: bytes that leave, callbacks, sessions, calls of scrypt. How long things
take is measured elsewhere, on real sockets.
"""
