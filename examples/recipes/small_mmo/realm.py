"""The game, for ``twistd gamenet --game small_mmo.realm:Realm``."""

import sqlite3
import time
from functools import partial

import gamenet
from small_mmo.chat import Chat
from small_mmo.moderation import Moderation
from small_mmo.shared import GAME, MESSAGES, MOST_SEEN, ZONES
from small_mmo.shared import Appeared, Entered, Hero, Vanished, View
from small_mmo.store import Store
from small_mmo.world import Character, World

OPTIONS = {"database": "small_mmo.sqlite", "moderators": [], "words": [], "save_seconds": 60}


def checked(options):
    """The [game] table of the config file, with what is not in it."""
    for name, value in options.items():
        known = OPTIONS.get(name)
        if type(value) is not type(known) or (name == "save_seconds" and value < 1):
            raise SystemExit(f"[game] {name} = {value!r} is not of the form of {known!r}")
        if known == [] and not all(isinstance(one, str) for one in value):
            raise SystemExit(f"[game] {name} must be a list of texts")
    return {**OPTIONS, **options}


class Realm(gamenet.Game):
    game_name, messages, tick_rate, input_bits = GAME, MESSAGES, 20.0, 4
    clock = staticmethod(time.time)
    open_store = Store

    def on_start(self):
        options = checked(self.server.options)
        path = options["database"]
        try:
            self.store = self.open_store(path, self.server.post)
        except sqlite3.Error as error:
            raise SystemExit(f"cannot use the database {path!r}: {error}") from None
        self.world = World()
        self.moderation = Moderation(self.server, self.store, self.clock,
                                     options["words"], options["moderators"])
        self.chat = Chat(self.server, self.world, self.moderation)
        self.save_at = self.save_seconds = options["save_seconds"]

    def on_event(self, event):
        if isinstance(event, gamenet.Posted):
            event.value()  # an answer of the store

    def on_join(self, player):
        if not player.account:  # a name proves nothing
            return self.server.disconnect(player, "this world is for accounts")
        self.store.ask(self.store.load, player.account, then=partial(self.found, player))

    def found(self, player, answer, error):
        if self.server.find(player.id) is None:
            return  # left while the disk was busy
        if error is not None:  # a new character would be saved over the old one
            return self.server.disconnect(player, "your character cannot be read; try again soon")
        place, penalties = answer
        if penalties.get("ban", 0.0) > self.clock():
            return self.server.disconnect(player, "you are banned")
        if any(one.account == player.account for one in self.chat.channels):
            return self.server.disconnect(player, "you play already, under another name")
        # Not over the mute of a moderator who was faster than the disk.
        self.moderation.muted_until.setdefault(player.account, penalties.get("mute", 0.0))
        if place and place[0] not in ZONES:
            place = None  # of an older version of the game
        character = Character(*place or ())
        self.world.enter(player.id, character)
        self.chat.channels[player] = set()
        self.server.send(player, Entered(character.zone))

    def on_leave(self, player, reason):
        self.chat.channels.pop(player, None)
        character = self.world.leave(player.id)
        if character is not None:
            self.moderation.muted_until.pop(player.account, None)
            self.store.ask(self.store.save, {player.account: character.place})

    def on_input(self, player, number, buttons):
        self.world.press(player.id, buttons)

    def on_chat(self, player, text):
        self.chat.hear(player, text)

    def on_tick(self, tick):
        travelled = self.world.step(tick.dt)
        for player in self.chat.channels:
            if player.id in travelled:
                self.server.send(player, Entered(self.world.characters[player.id].zone))
            self.show(player)
        if self.server.time() >= self.save_at:
            self.save_at += self.save_seconds
            self.save()

    def show(self, player):
        """Names once and reliably, places all the time."""
        entered, left = self.world.changes(player.id)
        for number in left:
            self.server.send(player, Vanished(number))
        for number in entered:
            self.server.send(player, Appeared(number, self.server.find(number).name))
        characters = self.world.characters
        near = self.world.near(player.id)[:MOST_SEEN]
        heroes = [Hero(number, characters[number].x, characters[number].y) for number in near]
        zone = ZONES.index(characters[player.id].zone)
        self.server.send_state(player, View(zone, heroes).encode())

    def save(self):
        characters = self.world.characters
        places = {player.account: characters[player.id].place for player in self.chat.channels}
        self.store.ask(self.store.save, places)

    def on_stop(self):
        self.save()
        self.store.close()
