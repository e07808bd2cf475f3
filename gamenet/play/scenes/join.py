"""Where to play: an address, a name, the servers nearby, or a server of one's own.

Layer 4. Runs on: the game thread. Needs pygame-ce.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pygame

from gamenet.core.text import MAX_NAME_CHARACTERS, checked_name, clean
from gamenet.errors import ConfigError, GamenetError, RefusalReason
from gamenet.play.backdrop import draw_backdrop
from gamenet.play.controls import Action
from gamenet.play.endings import sentence
from gamenet.play.stage import Scene, Stage, Stay, Wish
from gamenet.play.widgets import Button, CheckBox, Form, TextField
from gamenet.play.writing import FAINT, LARGE, SMALL, WRONG, write, write_lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from gamenet.discovery import Found
    from gamenet.play.endings import Over

MOST_ADDRESS_CHARACTERS: Final = 400
MOST_PASSWORD_CHARACTERS: Final = 256
MOST_SERVERS_SHOWN: Final = 6
HOST: Final = "Host and play"
HOSTED: Final = "Play on your server, which runs"
COLUMN: Final = 380
"""Width of each of the two columns, in pixels."""


class JoinScene(Scene):
    """The first screen.

    :param wish: what the fields say at first.
    """

    def __init__(self, stage: Stage, wish: Wish) -> None:
        super().__init__(stage)
        self.problem = ""
        """Why the last attempt came to nothing, as a sentence."""
        self._wish = wish
        self._stay: Stay | None = None
        self._hosting = False
        self.address = TextField(
            "Address", wish.address, most=MOST_ADDRESS_CHARACTERS, hint="host, or host:port"
        )
        self.name = TextField("Name", wish.name, most=MAX_NAME_CHARACTERS, hint="empty: a guest")
        self.password = TextField(
            "Password",
            wish.password,
            most=MOST_PASSWORD_CHARACTERS,
            secret=True,
            hint="only where there are accounts",
        )
        self.insecure = CheckBox("without encryption, if the server allows it", wish.insecure)
        self.announced = CheckBox("show it to others on this network", stage.hosting.announced)
        self._own = [
            self.address,
            self.name,
            self.password,
            self.insecure,
            Button("Join", self.join),
        ]
        self._hosting_button = Button(HOST, self.host)
        self._host = [self._hosting_button, self.announced]
        self._cancelling = Form([Button("Cancel", self.cancel)])
        self._found: tuple[Found, ...] = ()
        self._more = 0
        """Servers nearby for which there is no room."""
        self._nearby: dict[str, Button] = {}
        self.form = Form([*self._own, *self._host])
        if wish.address:
            self.form.focus = self._own.index(self.name)

    @property
    def busy(self) -> bool:
        """Whether a server is being joined or started just now."""
        return self._stay is not None or self._hosting

    # What the buttons do.

    def join(self) -> None:
        """Join the server of the fields."""
        wish = self._wish._replace(
            address=self.address.text.strip(),
            name=self.name.text.strip(),
            password=self.password.text,
            # An address with a fingerprint is one of a server that has encryption.
            insecure=self.insecure.checked and "#" not in self.address.text,
        )
        if not wish.address:
            self._blame(ConfigError("address", "write where the server is, such as play.example"))
        elif wish.password and wish.insecure:
            self._blame(ConfigError("password", "passwords are never sent without encryption"))
        else:
            self._begin(wish)

    def host(self) -> None:
        """Start a server in this process, and join it."""
        self._clear()
        hosting = self.stage.hosting
        hosting.announced = self.announced.checked
        hosting.beacon = hosting.beacon or f"{checked_name(self.name.text) or 'Somebody'}'s field"
        hosting.start()
        self._hosting = True

    def cancel(self) -> None:
        """Give up what is being tried."""
        self._hosting = False
        if self._stay is not None:
            self.stage.leave(self._stay)
            self._stay = None

    def _begin(self, wish: Wish) -> None:
        self._clear()
        try:
            self._stay = self.stage.join(wish)
        except GamenetError as error:
            self._blame(error)

    def _clear(self) -> None:
        self.problem = ""
        for field in (self.address, self.name, self.password):
            field.problem = ""

    def _blame(self, error: GamenetError) -> None:
        """Say what is wrong, and put the focus where it can be put right."""
        fields = {"address": self.address, "user": self.name, "password": self.password}
        field = fields.get(error.field) if isinstance(error, ConfigError) else None
        text = str(error)
        if field is not None:
            text = text.partition(": ")[2]
            self._point_at(field, text)
        self._failed(sentence(clean(text)))

    def _refused(self, over: Over) -> None:
        """The server did not let the player in, or there was none."""
        # Who was refused by nobody has reached nobody.
        field: TextField | None = self.address
        if over.refusal is not None:
            field = {
                RefusalReason.NAME: self.name,
                RefusalReason.DUPLICATE: self.name,
                RefusalReason.CREDENTIALS: self.password,
                RefusalReason.GAME: self.address,
            }.get(over.refusal)
        if field is not None:
            self._point_at(field, over.text)
        self._failed(over.text)

    def _point_at(self, field: TextField, problem: str) -> None:
        field.problem = problem
        self.form.focus = self.form.widgets.index(field)

    def _failed(self, text: str) -> None:
        self.problem = text
        self.stage.tell(text)

    # What every screen does.

    def handle(self, event: pygame.event.Event, action: Action | None) -> None:
        if self.busy:
            if action is Action.BACK:
                self.cancel()
            else:
                self._cancelling.handle(event, action)
        elif action is Action.BACK:
            self.stage.quit()
        elif action is Action.CONFIRM and isinstance(self.form.focused, TextField):
            self.join()
        else:
            self.form.handle(event, action)

    def update(self, now: float) -> None:
        self._look_around()
        # Who has left it, or given up to join it, is told that others can still come in.
        self._hosting_button.label = HOSTED if self.stage.hosting.address else HOST
        if self._hosting:
            self._look_at_own_server()
        stay = self._stay
        if stay is None:
            return
        stay.world.frame(now, 0)
        over = stay.world.over
        if over is not None:
            self.cancel()
            self._refused(over)
        elif not stay.world.joining:
            self._stay = None
            self.stage.tell(f"in, as {stay.world.name}")
            self.stage.to_play(stay)

    def _look_at_own_server(self) -> None:
        hosting = self.stage.hosting
        if hosting.problem:
            self._hosting = False
            self._failed(hosting.problem)
        elif hosting.address:
            self._hosting = False
            self.stage.tell(f"others can join with: gamenet play '{hosting.invitation}'")
            self._begin(Wish(hosting.address, self.name.text.strip(), insecure=hosting.insecure))

    def _look_around(self) -> None:
        there = self.stage.lan.servers()
        self._more = max(0, len(there) - MOST_SERVERS_SHOWN)
        found = tuple(there[:MOST_SERVERS_SHOWN])
        if found == self._found:
            return
        self._found = found
        focused, before = self.form.focused, self._nearby
        # Who is there still keeps its button, and with it the focus.
        self._nearby = {
            server.address: before.get(server.address, Button("", self._joiner(server)))
            for server in found
        }
        for server in found:
            self._nearby[server.address].label = _line_of(server)
        self.form.widgets = [*self._own, *self._host, *self._nearby.values()]
        if focused in self.form.widgets:
            self.form.focus = self.form.widgets.index(focused)
        else:
            self.form.focus = min(self.form.focus, len(self.form.widgets) - 1)

    def _joiner(self, server: Found) -> Callable[[], None]:
        def join() -> None:
            self.address.text = server.address
            self.insecure.checked = not server.secure
            self.join()

        return join

    def close(self) -> None:
        self.cancel()

    def draw(self, surface: pygame.Surface, now: float) -> None:
        draw_backdrop(surface, self.stage.view, now)
        width, height = surface.get_size()
        write(surface, "gamenet", (width // 2, 16), size=LARGE, centred=True)
        if self.busy:
            self._draw_waiting(surface, now)
            return
        gap = 40
        column = min(COLUMN, (width - 3 * gap) // 2)
        top = 106
        if self.problem:
            at, text = (width // 2, 60), f"! {self.problem}"
            below = write_lines(surface, text, at, width - gap, colour=WRONG, centred=True)
            top = max(top, below + 8)
        left = pygame.Rect(width // 2 - gap // 2 - column, top, column, height)
        right = left.move(column + gap, 0)
        self.form.draw(surface, left, self._own)
        y = self.form.draw(surface, right.move(0, 18), self._host)
        self._draw_nearby(surface, right, y + 16)

    def _draw_nearby(self, surface: pygame.Surface, column: pygame.Rect, y: int) -> None:
        write(surface, "Servers on this network", (column.x, y), size=SMALL, colour=FAINT)
        y += 22
        if not self._nearby:
            text = self.stage.lan.problem or "none has been found so far"
            write_lines(surface, text, (column.x, y), column.width, size=SMALL, colour=FAINT)
        area = pygame.Rect(column.x, y, column.width, 0)
        y = self.form.draw(surface, area, list(self._nearby.values()))
        if self._more:
            text = f"and {self._more} more, which 'gamenet discover' lists"
            write(surface, text, (column.x, y), size=SMALL, colour=FAINT)

    def _draw_waiting(self, surface: pygame.Surface, now: float) -> None:
        width, height = surface.get_size()
        what = "Starting a server"
        if self._stay is not None:
            what = f"Joining {self._stay.wish.address.partition('#')[0]}"
        dots = "." * (1 + int(now * 2) % 3)
        y = write_lines(
            surface, f"{what} {dots}", (width // 2, height // 3), width - 80, centred=True
        )
        self._cancelling.draw(surface, pygame.Rect(width // 2 - 100, y + 20, 200, 0))


def _line_of(server: Found) -> str:
    line = f"{server.name}   {server.players}/{server.max_players}"
    if not server.is_known:
        return f"{line}, of another version"
    if not server.is_open:
        return f"{line}, about to stop"
    return f"{line}, with password" if server.needs_proof else line
