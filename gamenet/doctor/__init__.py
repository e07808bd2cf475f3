"""What is wrong between a player and a server: ``gamenet doctor``.

Layer 4. ``reach``, ``trust``, ``visit`` and ``probe`` gather facts, ``reach_findings`` and
``path_findings`` say what they mean, ``examination`` has the order, and ``show`` prints it.
"""
