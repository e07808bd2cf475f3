"""Who may say what, how often: rate, words, mutes, and what moderators can do about the rest."""

import re

LINES_AT_ONCE, LINES_A_SECOND = 5, 0.5
MOST_MINUTES = 60 * 24 * 365
COMMANDS = {"mute": "/mute NAME MINUTES", "ban": "/ban NAME MINUTES", "kick": "/kick NAME"}


class Moderation:
    """:param clock: the calendar's, as mutes and bans outlive the process."""

    def __init__(self, server, store, clock, words=(), moderators=()):
        self.server, self.store, self.clock = server, store, clock
        self.moderators = frozenset(moderators)
        listed = "|".join(map(re.escape, words))
        self.words = re.compile(rf"\b(?:{listed})\b" if listed else r"(?!)", re.IGNORECASE)
        self.muted_until = {}  # by account
        self.lines = {}  # by account: how many may be said at once, and when that was

    def may_moderate(self, player):
        return player.account in self.moderators

    def is_too_fast(self, player):
        """Count a line of the player's."""
        now = self.server.time()
        lines, since = self.lines.get(player.account, (LINES_AT_ONCE, now))
        lines = min(lines + (now - since) * LINES_A_SECOND, LINES_AT_ONCE) - 1
        self.lines[player.account] = max(lines, -LINES_AT_ONCE), now  # who goes on waits longer
        return lines < 0

    def is_muted(self, player):
        return self.muted_until.get(player.account, 0.0) > self.clock()

    def civil(self, player, text):
        """What others read of a line."""
        civil = self.words.sub("***", text)
        if civil != text:
            self.note(player, "word", said=text)
        return civil

    def note(self, who, did, whom="", said=""):
        self.store.ask(self.store.note, self.clock(), who.account, did, whom, said)

    def carry_out(self, moderator, did, rest):
        """Mute, ban or kick, and write it down; returns what to tell the moderator."""
        name, _, minutes = rest.partition(" ")
        player = self.server.find(name)
        account = name if player is None else player.account  # whoever has left is within reach
        if not (player if did == "kick" else name and minutes.isdecimal()):
            return f"{COMMANDS[did]}, of somebody who is here or has an account"
        self.note(moderator, did, account, minutes)
        if did != "kick":
            until = self.clock() + 60 * min(int(minutes), MOST_MINUTES)
            self.store.ask(self.store.penalise, account, did, until)
        if did == "mute":
            self.muted_until[account] = until
        elif player is not None:
            # Without ban_seconds, which hold for the address too: a school has only one.
            self.server.disconnect(player, "sent away by a moderator")
        sure = "" if player else ", if there is such an account"
        return f"Done{sure}: {did} {account} {minutes}"
