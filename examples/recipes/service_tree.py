"""The plaza in a Twisted service tree, beside a web site: PYTHONPATH=. twistd -ny service_tree.py

No game thread: the game is an object on the reactor thread, as everything else in the tree.
"""

import json
import os

from twisted.application.internet import StreamServerEndpointService, TimerService
from twisted.application.service import Application, MultiService
from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from twisted.web.resource import Resource
from twisted.web.server import Site

import gamenet
from plaza import GAME, MAX_INPUT_HZ, MESSAGES, TICK_RATE, Plaza


class PlazaService(MultiService):
    """The game: who comes and what they do is offered to it, a timer has it show the plaza."""

    def __init__(self, config):
        super().__init__()
        self.game_server = gamenet.GameServerService(config, sink=self)
        self.game_server.setServiceParent(self)
        self.plaza = Plaza(self.game_server.verbs)
        TimerService(1 / TICK_RATE, self.plaza.show).setServiceParent(self)

    def offer(self, event):
        """Called by gamenet on the reactor thread with each event; True says that it is taken."""
        self.plaza.hear(event)
        return True


class People(Resource):
    """``GET /`` tells who is where, and ``POST /`` with a text says it to all of them."""

    isLeaf = True

    def __init__(self, plaza_service):
        super().__init__()
        self.service = plaza_service

    def render_GET(self, request):
        request.setHeader(b"Content-Type", b"application/json")
        address = self.service.game_server.address
        return json.dumps({"address": address, "places": self.service.plaza.places}).encode()

    def render_POST(self, request):
        try:  # the same thread, so there is nothing to lock and nothing to hand over
            self.service.plaza.server.say(request.content.read(2000).decode("utf-8", "replace"))
        except ValueError as error:
            request.setResponseCode(400)
            return f"{error}\n".encode()
        return b"said\n"


def make_service(listen, web):
    config = gamenet.ServerConfig(
        listen=listen,
        insecure=True,  # of this machine only; cert_file= and key_file= are for the others
        game_name=GAME,
        tick_rate=TICK_RATE,  # of the timer, which gamenet cannot see
        messages=tuple(MESSAGES),
        max_input_hz=MAX_INPUT_HZ,
    )
    tree = MultiService()
    plaza = PlazaService(config)
    plaza.setServiceParent(tree)
    endpoint = serverFromString(reactor, web)
    StreamServerEndpointService(endpoint, Site(People(plaza))).setServiceParent(tree)
    return tree


application = Application("plaza")
make_service(
    os.environ.get("PLAZA_LISTEN", "tcp:7777"),
    os.environ.get("PLAZA_WEB", "tcp:8080:interface=127.0.0.1"),
).setServiceParent(application)
