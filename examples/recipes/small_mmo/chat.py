"""Who hears whom. It runs on the game's thread."""

from contextlib import suppress

from small_mmo.moderation import COMMANDS

LONGEST = 500  # characters of a line
MOST_CHANNELS = 16
HELP = ["/all TEXT", "/w NAME TEXT", "/channel NAME (in, or out again)", "#CHANNEL TEXT"]


class Chat:
    def __init__(self, server, world, moderation):
        self.server, self.world, self.moderation = server, world, moderation
        self.channels = {}  # of each player who is in the world: names

    def hear(self, player, text):
        """A line from a player: a command, or something for those who are near."""
        if player not in self.channels:
            return  # whose character is still on its way
        if self.moderation.is_too_fast(player):
            return self.tell(player, "You talk too fast; wait a little.")
        word, _, rest = text.partition(" ")
        if word == "/all":
            self.say(player, rest, list(self.channels), "[all] ")
        elif word == "/w":
            name, _, rest = rest.partition(" ")
            other = self.server.find(name)
            self.say(player, rest, other) if other else self.tell(player, f"{name} is not here.")
        elif word == "/channel":
            self.turn(player, rest.split(" ")[0][:32])
        elif word.startswith("#"):
            to = [one for one, names in self.channels.items() if word[1:] in names]
            if player in to:
                self.say(player, rest, to, f"[{word}] ")
            else:
                self.tell(player, f"You do not hear {word}: /channel {word[1:]}")
        elif word.startswith("/"):
            self.tell(player, self.obey(player, word[1:], rest.strip()))
        else:
            near = map(self.server.find, self.world.near(player.id))
            self.say(player, text, list(near))

    def say(self, player, text, to, before=""):
        """The only way from one player to others."""
        if self.moderation.is_muted(player):
            self.tell(player, "You are muted; nobody heard that.")
        else:
            line = before + self.moderation.civil(player, text)
            with suppress(ValueError):  # where nothing readable is left, there is nothing to say
                self.server.say(line[:LONGEST], to=to, author=player)

    def tell(self, player, text):
        self.server.say(text[:LONGEST], to=player)

    def turn(self, player, channel):
        """In, or out again."""
        names = self.channels[player]
        if channel in names or len(names) < MOST_CHANNELS:
            names ^= {channel}
        self.tell(player, "You hear: " + " ".join(sorted(names)))

    def obey(self, player, command, rest):
        moderation, allowed = self.moderation, self.moderation.may_moderate(player)
        if command not in COMMANDS:
            return ", ".join([*HELP, *COMMANDS.values()] if allowed else HELP)
        if not allowed:
            return "That is for moderators."
        return moderation.carry_out(player, command, rest)
