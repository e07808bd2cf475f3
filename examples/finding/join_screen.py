"""A join screen in a terminal: it joins the first server that lets somebody in.

python join_screen.py tag/1
"""

import sys, time

import gamenet
from gamenet.discovery import Browser, Found


def choose(game: str) -> Found:
    with Browser(game) as browser:
        while True:  # the frames of the screen
            for server in browser.servers():  # never waits
                if server.is_open and server.is_known and not server.is_full:
                    return server
            print(browser.problem or "looking ...")
            time.sleep(0.1)


server = choose(sys.argv[1])
with gamenet.GameClient(server.address, insecure=not server.secure) as client:
    print(f"{client.player.name} has joined {server.name}")
