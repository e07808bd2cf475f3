# test_echo.py
import gamenet
from gamenet.testing import SimulatedReactor
from twisted.internet.endpoints import TCP4ClientEndpoint

class Echo:
    def offer(self, event):
        match event:
            case gamenet.Received(player, payload): self.factory.verbs.send(player, payload)
        return True

class Sink:
    def __init__(self): self.events = []
    def offer(self, event): self.events.append(event); return True

def test_an_echo_comes_back(gamenet_network):
    network = gamenet_network(seed=1)
    server, client = SimulatedReactor(network, "10.0.0.1", linked=False), SimulatedReactor(network)
    echo, sink = Echo(), Sink()
    echo.factory = gamenet.GameServerFactory(
        echo, gamenet.ServerConfig(insecure=True), reactor=server, now=server.seconds)
    ports = server.listenTCP(7777, echo.factory), echo.factory.listen_udp(7777)
    factory = gamenet.GameClientFactory(
        sink, gamenet.ClientConfig(insecure=True), reactor=client, now=client.seconds)
    factory.dial(TCP4ClientEndpoint(client, "10.0.0.1", 7777))
    network.link(latency_ms=40)
    network.run(1)
    factory.verbs.send(b"there and back")
    network.run(1)
    assert [event.payload for event in sink.events
            if isinstance(event, gamenet.Received)] == [b"there and back"]
    factory.host.leave()
    for port in ports: port.stopListening()
    network.run(5)                                       # nothing may be left now
