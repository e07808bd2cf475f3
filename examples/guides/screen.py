# screen.py: what one player sees of the orchard, smooth over any network
import gamenet
from gamenet.smooth import Interpolator, Predictor
from orchard import View, step


class Screen:
    """Where to draw everybody. An engine calls frame() each time it draws."""

    def __init__(self, client):
        self.client = client
        self.own = None  # known with the first state
        self.others = Interpolator(interval=1 / 30)
        self.baskets = {}  # name -> apples
        self.chat = []

    def frame(self, buttons, now, dt):
        # As many inputs as the server has ticks, however often the engine draws.
        for tick in self.client.ticks(wait=False):
            for event in tick.events:
                self.hear(event)
            if self.client.joined:
                self.steer(buttons)
        state = self.client.take_state() if self.client.joined else None
        if state is not None:
            self.see(state, now)
        return self.places(now, dt)

    def steer(self, buttons):
        number = self.client.send_input(buttons)
        if self.own is not None:
            self.own.apply(number, buttons)  # at once, without asking

    def see(self, state, now):
        view = {seen.id: (seen.x, seen.y) for seen in View.decode(state.payload).heroes}
        self.others.push(state.server_time, view, now)
        mine = view[self.client.player.id]
        if self.own is None:
            self.own = Predictor(step, mine, difference=minus, add=plus, snap=4.0, tolerance=0.001)
        self.own.reconcile(mine, state.input_number)

    def places(self, now, dt):
        """Hero number -> place: others a moment ago, one's own as it will be."""
        places = dict(self.others.mixed(now, between) or {})
        if self.own is not None:
            places[self.client.player.id] = self.own.shown(dt)
        return places

    def hear(self, event):
        match event:
            case gamenet.Received(_, picked):
                self.baskets[picked.name] = picked.apples
            case gamenet.Chat(player, text):
                self.chat.append(f"{player}: {text}")
            case gamenet.Suspended():
                self.chat.append("The connection is lost. Please wait ...")
            case gamenet.Resumed():
                self.chat.append("Back again.")
            case gamenet.Disconnected(_, text):
                self.chat.append(f"The game is over: {text}")


def minus(a, b):
    return a[0] - b[0], a[1] - b[1]


def plus(place, off):
    return place[0] + off[0], place[1] + off[1]


def between(before, after, share):
    """Everybody between two states; who is in one of them only stands still."""
    return {
        number: plus(place, [share * part for part in minus(after.get(number, place), place)])
        for number, place in before.items()
    }
