"""The plaza in three dimensions, by Panda3D: python panda3d_scene.py [NAME [ADDRESS]]"""

import sys
import time
from math import atan2, degrees

try:
    from direct.gui.DirectGui import DirectEntry
    from direct.gui.OnscreenText import OnscreenText
    from direct.showbase.ShowBase import ShowBase
    from panda3d.core import CardMaker, TextNode
except ImportError:
    sys.exit("This needs Panda3D: pip install panda3d")

from plaza import DOWN, HEIGHT, LEFT, RIGHT, UP, WIDTH
from visit import Visit, client_from

KEYS = {"arrow_left": LEFT, "arrow_right": RIGHT, "arrow_up": UP, "arrow_down": DOWN}
SKY, GRASS, WORDS = (0.3, 0.5, 0.8, 1), (0.1, 0.4, 0.1, 1), (1, 1, 1, 1)
OTHERS, ME = (0.5, 0.8, 1, 1), (1, 0.8, 0, 1)
NETWORK = -20  # after the keyboard's task, -50, and before that which draws, 50


class Scene(ShowBase):
    def __init__(self, visit):
        try:
            super().__init__()
        except Exception as error:  # what Panda3D raises has no class of its own
            sys.exit(f"No window can be opened: {error}")
        self.visit = visit
        self.people = {}  # name -> NodePath
        self.buttons = 0
        self.setBackgroundColor(*SKY)
        self.disableMouse()
        self.camera.setPos(WIDTH / 2, -0.8 * WIDTH, 0.7 * WIDTH)
        self.camera.lookAt(WIDTH / 2, HEIGHT / 2, 0)
        card = CardMaker("ground")
        card.setFrame(0, WIDTH, 0, HEIGHT)
        ground = self.render.attachNewNode(card.generate())
        ground.setP(-90)  # a card stands; now it lies
        ground.setColor(GRASS)
        self.words = OnscreenText(
            parent=self.a2dTopLeft, pos=(0.05, -0.08), align=TextNode.ALeft,
            fg=WORDS, mayChange=True,
        )
        self.entry = DirectEntry(
            parent=self.a2dBottomLeft, pos=(0.05, 0, 0.05), scale=0.06, width=40,
            command=self.say, suppressKeys=True,  # keys are its own while somebody types
        )
        for key, button in KEYS.items():
            self.accept(key, self.press, [button])
            self.accept(f"{key}-up", self.release, [button])
        self.accept("enter", self.entry.guiItem.setFocus, [True])
        self.taskMgr.add(self.network, "network", sort=NETWORK)

    def press(self, button):
        self.buttons |= button

    def release(self, button):
        self.buttons &= ~button

    def say(self, text):
        self.entry.enterText("")
        if text:
            self.visit.say(text)

    def network(self, task):
        """Once a frame: what gamenet has brought, put into the scene."""
        self.visit.update(self.buttons, time.monotonic())
        for name in self.people.keys() - self.visit.places.keys():
            self.people.pop(name).removeNode()
        for name, place in self.visit.places.items():
            if name not in self.people:
                self.people[name] = self.come(name, place)
            self.stand_at(self.people[name], place)
        self.words.setText("\n".join(self.visit.lines))
        return task.cont

    def come(self, name, place):
        colour = ME if name == self.visit.client.player.name else OTHERS
        person = self.render.attachNewNode(name)
        person.setPos(*place, 0)
        panda = self.loader.loadModel("models/panda")  # comes with Panda3D
        panda.setScale(0.25)
        panda.setColorScale(colour)
        panda.reparentTo(person)
        text = TextNode(name)
        text.setText(name)
        text.setTextColor(colour)
        text.setAlign(TextNode.ACenter)
        tag = person.attachNewNode(text)
        tag.setZ(3)
        tag.setBillboardPointEye()
        return person

    def stand_at(self, person, place):
        x, y = place[0] - person.getX(), place[1] - person.getY()
        if max(abs(x), abs(y)) > 0.01:
            person.getChild(0).setH(degrees(atan2(x, -y)))  # the panda's face is towards -y
        person.setPos(*place, 0)


def main():
    visit = Visit(client_from(sys.argv[1:]))
    scene = Scene(visit)
    with visit:
        scene.run()  # until somebody closes the window, which raises SystemExit


if __name__ == "__main__":
    main()
