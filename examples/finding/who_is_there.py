"""Which servers are there?  python who_is_there.py tag/1"""

import sys

from gamenet.discovery import find

for server in find(1.0, game=sys.argv[1]):
    print(f"{server.name}: {server.players} of {server.max_players} play at {server.address}")
