# test_tag.py
import gamenet, tag
from gamenet.testing import Simulation

def test_everybody_sees_what_one_says_whatever_the_line():
    for profile in ("perfect", "wifi", "cellular", "satellite", "train"):
        with Simulation(tag.main, clients=["ada", "bob"], profile=profile) as simulation:
            ada, bob = simulation.clients
            ada.say("catch me")
            simulation.until(lambda: [event.text for event in bob.events()
                                      if isinstance(event, gamenet.Chat)] == ["catch me"])

def test_the_same_seed_is_the_same_game():
    def played(seed):
        with Simulation(tag.main, clients=2, profile="train", seed=seed) as simulation:
            for step in range(200):
                for client in simulation.clients: client.send_input(step % 3)
                simulation.step()
            return simulation.fingerprint()
    assert played(1) == played(1) != played(2)

def test_a_real_server(gamenet_server):                  # in a process of its own
    with gamenet.GameClient(gamenet_server(tag.main), user="ada", game_name="tag/1",
                            insecure=True) as client:
        assert client.player.name == "ada"
