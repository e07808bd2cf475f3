from twisted.internet import reactor
import gamenet

class Echo:
    def offer(self, event):                    # called on the reactor thread
        match event:
            case gamenet.Received(player, payload): factory.verbs.send(player, payload)
        return True

factory = gamenet.GameServerFactory(Echo(), gamenet.ServerConfig(insecure=True))
reactor.listenTCP(7777, factory, interface="127.0.0.1")
factory.listen_udp(7777, "127.0.0.1")
reactor.run()
