# test_walk.py
import gamenet

class Walk(gamenet.Game):
    def on_start(self): self.places = {}
    def on_join(self, player): self.places[player.name] = 0
    def on_input(self, player, number, buttons): self.places[player.name] += buttons

def test_a_hero_walks_through_loss_and_a_cut_connection(gamenet_pair):
    pair = gamenet_pair(Walk, clients=["ada"], seed=7)
    pair.network.link(latency_ms=50, loss=0.10)          # each way
    for step in range(300):                              # ten seconds
        pair.client.send_input(1)                        # hold one button
        if step == 150: pair.network.cut_tcp()           # both ends learn it at once
        pair.step()
    pair.until(lambda: pair.game.places["ada"] == 300)   # every step arrived, once
    kinds = [type(event) for event in pair.client.events()]
    assert gamenet.Suspended in kinds and gamenet.Resumed in kinds
