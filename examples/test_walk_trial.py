# test_walk_trial.py
from twisted.trial.unittest import SynchronousTestCase
from gamenet.testing import Pair
from test_walk import Walk

class WalkTests(SynchronousTestCase):
    def test_another_address(self):
        pair = Pair(Walk, clients=["ada"], profile="cellular")
        self.addCleanup(pair.close)                      # looks that nothing is left
        for tick in pair.client.ticks(60):               # the loop that the real client has
            pair.client.send_input(1)
            if tick.number == 60: pair.network.change_address(pair.client)
            if tick.number == 600: break
        pair.run(5)
        self.assertEqual(pair.game.places["ada"], 600)
