import gamenet

GAME = "meadow/1"
WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, UP, DOWN = 1, 2, 4, 8       # a bit for each button


class Meadow(gamenet.Message):
    heroes: dict[str, tuple[int, int]]   # name -> (x, y)
