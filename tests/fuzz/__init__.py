"""
Fuzzing: every parser that meets bytes of strangers, peers or people, fed with whatever there is.

``README.rst`` in this folder says how to run it and what to do with what it finds. Nothing here
imports gamenet before ``worker`` has had the chance to instrument it.
"""
