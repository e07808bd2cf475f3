"""What a session promises while the network fails, tried in virtual time.

``docs/DELIVERY.rst`` has the promises in words. Each test is a real server and real clients over
the simulated network; when it closes, the simulation itself makes sure that every datagram and
frame was delivered or counted, and that no session, timer or port is left.
"""
