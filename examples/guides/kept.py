# kept.py: an orchard whose players keep their apples until they come again
import json
import os
from pathlib import Path

from orchard import Orchard

EVERY_SECONDS = 60


class Kept(Orchard):
    def on_start(self):
        super().on_start()
        self.file = Path(self.server.options.get("file", "apples.json"))
        self.baskets = json.loads(self.file.read_text()) if self.file.exists() else {}
        self.saved = 0.0

    def on_join(self, player):
        super().on_join(player)
        self.heroes[player].apples = self.baskets.get(player.account or player.name, 0)

    def on_leave(self, player, reason):
        self.note(player)
        super().on_leave(player, reason)

    def on_tick(self, tick):
        super().on_tick(tick)
        if tick.time - self.saved >= EVERY_SECONDS:
            self.saved = tick.time
            self.save()

    def on_stop(self):
        self.save()

    def note(self, player):
        self.baskets[player.account or player.name] = self.heroes[player].apples

    def save(self):
        for player in self.heroes:
            self.note(player)
        fresh = self.file.with_suffix(".new")
        fresh.write_text(json.dumps(self.baskets))
        os.replace(fresh, self.file)  # whoever reads it finds the old one or the new one, whole
