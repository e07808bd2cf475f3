# weigh.py: how many bytes a second a player is sent, and of what
from gamenet.testing import Simulation
from orchard import DOWN, LEFT, RIGHT, UP, Orchard

with Simulation(Orchard, clients=16, profile="wifi", seed=1) as simulation:
    for tick in range(120):
        for number, client in enumerate(simulation.clients):
            client.send_input((RIGHT, DOWN, LEFT, UP)[(tick // 30 + number) % 4])
        simulation.step()
    quality = simulation.server.quality(simulation.server.find(1))
    whole = len(simulation.game.view().encode())
    sent = quality.types_out["state"].bytes_per_second / 30
    print(f"a state has {whole} bytes, {sent:.0f} of them are sent")
    print(f"{quality.bytes_per_second_out / 1024:.1f} KiB a second, with everything around them")
