"""A visit to the plaza, for any engine: whom to draw where, what was said. It draws nothing."""

import sys
from collections import deque

import gamenet
from gamenet.smooth import Interpolator, Predictor
from plaza import GAME, MESSAGES, TICK_RATE, walk


def client_from(arguments):
    """The client that ``python FILE [NAME [ADDRESS]]`` asks for, not started yet.

    An address with a fingerprint behind it (``gamenet cert`` prints one) is dialled by TLS, one
    without by plain TCP, which servers take from their own machine only.
    """
    name = arguments[0] if arguments else ""  # then the server finds one
    address = arguments[1] if len(arguments) > 1 else "localhost"
    try:
        return gamenet.GameClient(
            address, user=name, game_name=GAME, messages=MESSAGES, insecure="#" not in address
        )
    except gamenet.ConfigError as error:
        sys.exit(str(error))


class Visit:
    def __init__(self, client):
        self.client = client
        self.places = {}  # name -> (x, y), to be drawn now
        self.lines = deque(["Joining ..."], maxlen=6)  # to be read now
        self.over = False
        self._others = Interpolator(interval=1 / TICK_RATE)
        self._own = None  # a Predictor from the first view on
        self._before = (0.0, 0.0)  # where it was a tick ago
        self._walked = 0.0  # when it took its newest step

    def __enter__(self):
        self.client.start(wait=False)  # returns at once; how it went is an event
        return self

    def __exit__(self, *error):
        try:
            self.client.stop(timeout=1.0)
        except gamenet.LocalProtocolError:
            pass  # the server is silent, and nobody wants to wait for it

    def update(self, buttons, now):
        """Once a frame, however many there are in a second; it never waits.

        :param buttons: those that are held.
        :param now: seconds on any clock that does not jump.
        """
        for tick in self.client.ticks(wait=False):  # as many as are due: none, one, rarely more
            for event in tick.events:
                self._hear(event)
            if self.client.joined:
                self._walk(buttons, now)
        me = self.client.player.name
        # The newest, or None; not before it is clear who of them one is.
        state = self.client.take_state() if self.client.joined else None
        if state is not None:
            places = state.payload.places
            self._others.push(state.server_time, places, now)
            self._own = self._own or Predictor(walk, places[me])
            self._own.reconcile(places[me], state.input_number)
        self.places = self._others.mixed(now, between) or {}
        if me in self.places:
            share = min((now - self._walked) * TICK_RATE, 1.0)  # of the way to the newest step
            self.places[me] = mix(self._before, self._own.state, share)

    def say(self, text):
        if not self.client.joined:
            self.lines.append("Nobody hears you: you are not on the plaza.")
        elif text.strip():
            try:
                self.client.say(text)
            except (ValueError, gamenet.QueueFull) as error:  # too long, or more than a line takes
                self.lines.append(f"That was not said: {error}")

    def _walk(self, buttons, now):
        number = self.client.send_input(buttons)
        if self._own and number > self._own.newest:  # an input more, unless it has just ended
            self._before, self._walked = self._own.state, now
            self._own.apply(number, buttons)

    def _hear(self, event):
        match event:
            case gamenet.Connected(player):
                self.lines.append(f"You are {player}.")
            case gamenet.Chat(player, text):
                self.lines.append(f"{player}: {text}" if player.name else text)  # or the server's
            case gamenet.Suspended():
                self.lines.append("The connection is lost. Please wait ...")
            case gamenet.Resumed():
                self.lines.append("Back again.")
            case gamenet.Disconnected(_, text):
                self.lines.append(f"It is over: {text}")
                self.over = True


def mix(a, b, share):
    return a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])


def between(before, after, share):
    """Everybody on the way from one view to the next."""
    return {name: mix(before.get(name, place), place, share) for name, place in after.items()}
