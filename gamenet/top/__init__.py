"""What a server's status site tells, in a terminal: ``gamenet top``.

Layer 4. ``site`` asks, ``watch`` and ``players`` say what the answers come to, ``layout`` fits that
to the terminal by means of ``table``, ``world``, ``glyphs`` and ``words``, and ``run`` shows it
once a second.
"""
