# lesson.py: the orchard for a class; the teacher's machine runs it
from random import Random

from orchard import HIGH, WIDE, Orchard


class Lesson(Orchard):
    def on_start(self):
        super().on_start()
        self.random = Random(int(self.server.options.get("seed", 0)))
        self.planted = len(self.apples)
        self.server.show(self.board)  # for the projector: the status page draws it

    def on_chat(self, player, text):
        if text == "!score":
            best = sorted(self.heroes.items(), key=lambda item: -item[1].apples)
            text = ", ".join(f"{player} {hero.apples}" for player, hero in best)
            self.server.say(text[:500])
        else:
            super().on_chat(player, text)

    def on_tick(self, tick):
        while len(self.apples) < 20:
            self.planted += 1
            self.apples[self.planted] = (self.random.uniform(0, WIDE), self.random.uniform(0, HIGH))
        super().on_tick(tick)

    def board(self):
        return {
            "kind": "map",
            "width": WIDE,
            "height": HIGH,
            "walls": ["." * int(WIDE)] * int(HIGH),
            "heroes": [
                {"id": player.id, "name": player.name, "x": hero.place[0], "y": hero.place[1]}
                for player, hero in self.heroes.items()
            ],
        }
