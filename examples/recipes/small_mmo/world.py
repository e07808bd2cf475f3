"""Zones, and the characters in them. It knows neither network nor disk."""

from gamenet.interest import Interest
from small_mmo.shared import EAST, NORTH, SIDE, SOUTH, WEST, ZONES

SIGHT = 16.0
METRES_A_SECOND = 4.0
HOLD_SECONDS = 0.5  # who has not been heard of for so long stands still


class Character:
    def __init__(self, zone=ZONES[0], x=SIDE / 2, y=SIDE / 2):
        self.zone, self.x, self.y = zone, x, y
        self.buttons, self.hold = 0, 0.0

    @property
    def place(self):
        return self.zone, self.x, self.y


class World:
    def __init__(self):
        self.characters = {}  # by the player's id
        self._zones = {name: Interest(SIGHT) for name in ZONES}

    def enter(self, number, character):
        self.characters[number] = character
        self._place(number, character)

    def leave(self, number):
        """Who that was; None for a player whose character has not come yet."""
        character = self.characters.pop(number, None)
        if character is not None:
            self._take_out(number, character)
        return character

    def press(self, number, buttons):
        if character := self.characters.get(number):
            character.buttons, character.hold = buttons, HOLD_SECONDS

    def step(self, seconds):
        """Let everybody walk; returns who came to another zone by it."""
        travelled = []
        for number, character in self.characters.items():
            if character.hold > 0:
                character.hold -= seconds
                if self._walk(number, character, METRES_A_SECOND * seconds):
                    travelled.append(number)
        for zone in self._zones.values():
            zone.update()
        return travelled

    def _walk(self, number, character, metres):
        held = character.buttons
        x = character.x + metres * (bool(held & EAST) - bool(held & WEST))
        y = character.y + metres * (bool(held & SOUTH) - bool(held & NORTH))
        character.y = min(max(y, 0.0), SIDE)
        character.x = min(max(x, 0.0), SIDE)
        index = ZONES.index(character.zone) + (x > SIDE) - (x < 0)
        travels = x != character.x and 0 <= index < len(ZONES)
        if travels:
            self._take_out(number, character)
            character.zone, character.x = ZONES[index], SIDE - character.x
        self._place(number, character)
        return travels

    def near(self, number):
        """Whom a player sees, itself included, as of the last step."""
        zone = self._zones[self.characters[number].zone]
        return [key for key in zone.visible(number) if key in self.characters]

    def changes(self, number):
        """Who came into sight and who went out of it since the last call."""
        return self._zones[self.characters[number].zone].changes(number)

    def _place(self, number, character):
        zone = self._zones[character.zone]
        zone.place(number, character.x, character.y)
        zone.watch(number, character.x, character.y)

    def _take_out(self, number, character):
        self._zones[character.zone].remove(number)
        self._zones[character.zone].unwatch(number)
