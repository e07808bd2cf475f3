# test_orchard.py: run it with pytest
import gamenet
from gamenet.testing import Simulation
from orchard import LEFT, PICK, RIGHT, STEP, Orchard


def hold(simulation, client, buttons, ticks):
    """A player holds buttons for so many ticks of the server."""
    for _ in range(ticks):
        client.send_input(buttons)
        simulation.step()


def heroes(simulation):
    return {player.name: hero for player, hero in simulation.game.heroes.items()}


def test_a_hero_walks_as_far_as_the_button_was_held():
    with Simulation(Orchard, clients=["ada"]) as simulation:
        ada = simulation.clients[0]
        hold(simulation, ada, RIGHT, ticks=20)
        hold(simulation, ada, 0, ticks=10)
        assert abs(heroes(simulation)["ada"].place[0] - (16 + 20 * STEP)) < 0.01


def test_an_apple_is_told_to_everybody_once_whatever_the_network():
    with Simulation(Orchard, clients=["ada", "bob"], profile="train", seed=5) as simulation:
        ada, bob = simulation.clients
        simulation.game.apples = {1: heroes(simulation)["ada"].place}  # one is right here
        hold(simulation, ada, PICK, ticks=60)  # held for two seconds, and picked once
        simulation.run(10)
        told = [event.payload for event in bob.events() if isinstance(event, gamenet.Received)]
        assert [(picked.name, picked.apples) for picked in told] == [("ada", 1)]


def test_a_player_whose_connection_is_cut_comes_back_and_walks_on():
    with Simulation(Orchard, clients=["ada"], seed=2) as simulation:
        ada = simulation.clients[0]
        hold(simulation, ada, LEFT, ticks=10)
        simulation.network.cut_tcp()
        hold(simulation, ada, LEFT, ticks=10)
        hold(simulation, ada, 0, ticks=30)
        assert abs(heroes(simulation)["ada"].place[0] - (16 - 20 * STEP)) < 0.01
        kinds = [type(event) for event in ada.events()]
        assert kinds.index(gamenet.Suspended) < kinds.index(gamenet.Resumed)
