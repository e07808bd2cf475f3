"""The field, what is said on it, and what lies over it: menu, players, a lost connection.

Layer 4. Runs on: the game thread. Needs pygame-ce.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pygame

from gamenet.core.text import MAX_CHAT_CHARACTERS
from gamenet.overlay import NetGraph
from gamenet.overlay.pygame_ce import draw as draw_graph
from gamenet.play.controls import Action
from gamenet.play.stage import Scene, Stage, Stay
from gamenet.play.widgets import Button, Form, TextField, draw_typed
from gamenet.play.writing import (
    ACCENT,
    FAINT,
    INK,
    LARGE,
    SMALL,
    font,
    shade,
    wrapped,
    write,
    write_lines,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gamenet.play.writing import Colour

LINE_SECONDS: Final = 10.0
"""How long a line of chat stays on the screen of somebody who is not typing."""
LINES_SHOWN: Final = 6
LINES_WHILE_TYPING: Final = 12
HINT_SECONDS: Final = 12.0
SILENCE_SECONDS: Final = 2.0
"""Without a state for so long, the player is told; less is a hiccup."""
PLAYERS_SHOWN: Final = 16
KEYS: Final = "Arrows: walk    Enter: talk    Tab: players    F3: network    Esc: menu"


class PlayingScene(Scene):
    """The game itself.

    :param stay: a player who is in.
    """

    def __init__(self, stage: Stage, stay: Stay) -> None:
        super().__init__(stage)
        self.stay = stay
        self.world = stay.world
        self.typed: TextField | None = None
        """The line of chat being typed; None while none is."""
        self.menu: Form | None = None
        """The menu, while it is open."""
        self.players_shown = False
        self.graph = NetGraph(stay.client, interpolator=stay.world.others.interpolator)
        self._began: float | None = None
        self._updated: float | None = None

    # What the player does.

    def handle(self, event: pygame.event.Event, action: Action | None) -> None:
        if event.type == pygame.WINDOWFOCUSLOST:
            self.players_shown = False
        elif self.menu is not None:
            self._handle_menu(event, action)
        elif self.typed is not None:
            self._handle_typing(event, action, self.typed)
        elif action is Action.BACK:
            self._open_menu()
        elif event.type == pygame.KEYDOWN and action is Action.CONFIRM:
            self.typed = TextField("", most=MAX_CHAT_CHARACTERS)
        elif event.type == pygame.KEYDOWN and event.key == pygame.K_F3:
            self.graph.next_level()
        elif event.type in (pygame.KEYDOWN, pygame.KEYUP) and event.key == pygame.K_TAB:
            self.players_shown = event.type == pygame.KEYDOWN

    def _handle_typing(
        self, event: pygame.event.Event, action: Action | None, typed: TextField
    ) -> None:
        if action is Action.BACK:
            self.typed = None
        elif action is Action.CONFIRM:
            # What could not be said stays where it is, to be said later.
            if self.world.say(typed.text) or not typed.text.strip():
                self.typed = None
        else:
            typed.handle(event)

    def _handle_menu(self, event: pygame.event.Event, action: Action | None) -> None:
        assert self.menu is not None
        if action is Action.BACK:
            self.menu = None
        else:
            self.menu.handle(event, action)

    def _open_menu(self) -> None:
        self.menu = Form(
            [
                Button("Play on", self._close_menu),
                Button("Leave this server", self._leave),
                Button("Quit", self.stage.quit),
            ]
        )

    def _close_menu(self) -> None:
        self.menu = None

    def _leave(self) -> None:
        self.stage.leave(self.stay)
        self.stage.to_join(self.stay.wish)

    def close(self) -> None:
        self.stage.leave(self.stay)

    # What happens.

    def update(self, now: float) -> None:
        if self._began is None:
            self._began = now
        is_steering = self.menu is None and self.typed is None
        self.world.frame(now, self.stage.controls.buttons if is_steering else 0)
        self._watch(now)
        if self.world.over is not None:
            self.stage.leave(self.stay)
            self.stage.tell(self.world.over.text)
            self.stage.to_end(self.stay.wish, self.world.over)

    def _watch(self, now: float) -> None:
        """The net graph looks on, also while it is not shown."""
        own, hosting = self.world.own, self.stage.hosting
        self.graph.predictor = None if own is None else own.predictor
        self.graph.server = hosting.server if self.stay.wish.address == hosting.address else None
        self.graph.update(now, 0.0 if self._updated is None else now - self._updated)
        self._updated = now

    # What is to be seen.

    def draw(self, surface: pygame.Surface, now: float) -> None:
        world = self.world
        self.stage.view.draw(surface, world.sights(), world.centre, now)
        draw_graph(surface, self.graph)
        self._draw_talk(surface, now)
        is_new = self._began is not None and now - self._began < HINT_SECONDS
        if is_new and not self.graph.level:
            self._draw_hint(surface)
        if world.away_since is not None:
            self._draw_suspended(surface, now - world.away_since)
        elif world.blind:
            self._draw_blind(surface)
        elif world.silence(now) > SILENCE_SECONDS:
            self._draw_silence(surface, world.silence(now))
        if self.players_shown:
            self._draw_players(surface)
        if self.menu is not None:
            self._draw_menu(surface, self.menu)

    def _draw_talk(self, surface: pygame.Surface, now: float) -> None:
        width, height = surface.get_size()
        y = height - 16
        if self.typed is not None:
            y -= 34
            box = pygame.Rect(12, y, width - 24, 34)
            draw_typed(surface, box, self.typed.text, edge=ACCENT, focused=True)
            y -= 8
        for text, colour in reversed(self._lines(now, width * 6 // 10)):
            y -= font(SMALL).get_linesize() + 2
            extent = font(SMALL).size(text)
            shade(surface, pygame.Rect(10, y - 1, extent[0] + 12, extent[1] + 2), 150)
            write(surface, text, (16, y), size=SMALL, colour=colour)

    def _lines(self, now: float, width: int) -> list[tuple[str, Colour]]:
        """What is to be read of the chat, the oldest first."""
        most = LINES_SHOWN if self.typed is None else LINES_WHILE_TYPING
        shown: list[tuple[str, Colour]] = []
        # From the newest up: the others have no room, and each costs time.
        for text, colour in self._said(now):
            shown[:0] = [(part, colour) for part in wrapped(text, width, SMALL)]
            if len(shown) >= most:
                break
        return shown[-most:]

    def _said(self, now: float) -> Iterator[tuple[str, Colour]]:
        """What was said, the newest first."""
        talk = self.world.talk
        if self.world.suspended:
            for text in reversed(talk.waiting):
                yield f"(not heard yet) {text}", FAINT
        for line in reversed(talk.lines):
            if self.typed is None and now - line.at > LINE_SECONDS:
                return  # and so are all before it
            said = f"{line.name}{' (to you)' if line.private else ''}: " if line.name else "* "
            yield said + line.text, INK if line.name else FAINT

    def _draw_hint(self, surface: pygame.Surface) -> None:
        width = surface.get_width()
        extent = font(SMALL).size(KEYS)
        shade(surface, pygame.Rect(width // 2 - extent[0] // 2 - 10, 8, extent[0] + 20, 24), 150)
        write(surface, KEYS, (width // 2, 12), size=SMALL, centred=True)

    def _draw_suspended(self, surface: pygame.Surface, seconds: float) -> None:
        kept = ""
        if self.world.talk.waiting:
            kept = " What you say meanwhile is kept."
        self._draw_notice(
            surface,
            f"The connection was lost {seconds:.0f} s ago",
            f"The game is trying to get it back, and goes on by itself.{kept} Esc: menu",
        )

    def _draw_silence(self, surface: pygame.Surface, seconds: float) -> None:
        self._draw_notice(
            surface,
            f"Nothing has come from the server for {seconds:.0f} s",
            "The game goes on by itself as soon as something comes. Esc: menu",
        )

    def _draw_blind(self, surface: pygame.Surface) -> None:
        if self.world.unreadable:
            text = "What this server sends cannot be read: it may run another game. Esc: menu"
        else:
            text = "Esc: menu"
        self._draw_notice(surface, "Waiting for the field", text)

    def _draw_notice(self, surface: pygame.Surface, title: str, text: str) -> None:
        width, height = surface.get_size()
        panel = pygame.Rect(0, height // 4, width, 110)
        shade(surface, panel, 238)
        middle = width // 2
        write(surface, title, (middle, panel.y + 16), size=26, centred=True)
        write_lines(surface, text, (middle, panel.y + 56), width - 60, colour=FAINT, centred=True)

    def _draw_players(self, surface: pygame.Surface) -> None:
        players = self.world.players()
        shown = players[:PLAYERS_SHOWN]
        width = surface.get_width()
        panel = pygame.Rect(width // 2 - 170, 40, 340, 54 + 22 * (len(shown) + 1))
        shade(surface, panel, 238)
        write(surface, "Players you have met", (panel.x + 20, panel.y + 12), size=22)
        y = panel.y + 46
        for player in shown:
            where = "you" if player.own else "here" if player.in_view else "out of sight"
            if player.away:
                where = "connection lost"
            colour = ACCENT if player.own else INK if player.in_view else FAINT
            write(surface, player.name, (panel.x + 20, y), colour=colour)
            write(surface, where, (panel.x + 210, y + 2), size=SMALL, colour=FAINT)
            y += 22
        if len(players) > len(shown):
            more = f"and {len(players) - len(shown)} more"
            write(surface, more, (panel.x + 20, y), size=SMALL, colour=FAINT)

    def _draw_menu(self, surface: pygame.Surface, menu: Form) -> None:
        width, height = surface.get_size()
        shade(surface, surface.get_rect(), 160)
        middle = width // 2
        write(surface, "Menu", (middle, height // 5), size=LARGE, centred=True)
        y = menu.draw(surface, pygame.Rect(middle - 140, height // 5 + 70, 280, 0))
        hosting = self.stage.hosting
        if hosting.address:
            text = f"Others can join you: gamenet play {hosting.invitation}"
            write_lines(
                surface, text, (middle, y + 16), width - 80, size=SMALL, colour=FAINT, centred=True
            )
