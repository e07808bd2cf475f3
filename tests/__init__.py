"""
The tests of gamenet, for pytest and for trial alike.

Both runners import this package first, so what hypothesis must know is said here: a deadline on
single examples would make the result depend on how busy the machine is.
"""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "gamenet", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("gamenet")
