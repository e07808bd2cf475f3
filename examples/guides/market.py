# market.py: players give each other apples, and none is made out of nothing
from typing import Annotated

import gamenet
import msgspec
from orchard import MESSAGES, Orchard


class Give(gamenet.Message):
    to: Annotated[str, msgspec.Meta(max_length=32)]
    apples: Annotated[int, msgspec.Meta(ge=1, le=99)]


class Market(Orchard):
    messages = (*MESSAGES, Give)

    def on_message(self, player, payload, channel):
        if isinstance(payload, Give):
            self.give(player, payload)
        else:
            super().on_message(player, payload, channel)

    def give(self, player, gift):
        receiver = self.server.find(gift.to)
        giver = self.heroes[player]  # whoever sent it, not whom the message names
        if receiver is None or receiver is player or giver.apples < gift.apples:
            self.server.say("You cannot give that.", to=player)
            return
        giver.apples -= gift.apples
        self.heroes[receiver].apples += gift.apples
        self.server.say(f"{player} gives {receiver} {gift.apples} apples.")
