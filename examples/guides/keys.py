# keys.py: from what is held to one whole number
from orchard import DOWN, LEFT, PICK, RIGHT, UP

KEYS = {
    "left": LEFT, "a": LEFT,
    "right": RIGHT, "d": RIGHT,
    "up": UP, "w": UP,
    "down": DOWN, "s": DOWN,
    "space": PICK,
}


def buttons_of(held):
    """The buttons of the keys that are down now, by the names that your engine gives them."""
    buttons = 0
    for key in held:
        buttons |= KEYS.get(key, 0)
    return buttons
