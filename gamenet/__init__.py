"""Networking for games: one session over two transports, the game on its own thread.

Start with :class:`GameServer` and :class:`GameClient`; people who own a Twisted reactor start with
:class:`GameServerFactory` and :class:`GameClientFactory`.
"""

from gamenet._version import __version__
from gamenet.bridge import Bridge
from gamenet.client import GameClientFactory
from gamenet.client_facade import GameClient
from gamenet.config import ClientConfig, ServerConfig
from gamenet.errors import (
    ConfigError,
    ConnectionFailed,
    DisconnectReason,
    GamenetError,
    JoinRefused,
    ListenFailed,
    LocalProtocolError,
    MessageTooLarge,
    QueueFull,
    RefusalReason,
)
from gamenet.events import (
    SERVER,
    Chat,
    Connected,
    Disconnected,
    Input,
    Joined,
    Left,
    PathChanged,
    Player,
    Posted,
    Quality,
    Received,
    Resumed,
    State,
    Suspended,
    Tick,
    Unreliable,
    Writable,
)
from gamenet.facade import GameServer, serve
from gamenet.game import Game, game
from gamenet.low_latency import LowLatencyProtocol
from gamenet.messages import Message, Unit
from gamenet.reliable import ReliableProtocol
from gamenet.server import GameServerFactory
from gamenet.service import GameServerService
from gamenet.snapshot import Snapshot

__all__ = [
    "SERVER",
    "Bridge",
    "Chat",
    "ClientConfig",
    "ConfigError",
    "Connected",
    "ConnectionFailed",
    "DisconnectReason",
    "Disconnected",
    "Game",
    "GameClient",
    "GameClientFactory",
    "GameServer",
    "GameServerFactory",
    "GameServerService",
    "GamenetError",
    "Input",
    "JoinRefused",
    "Joined",
    "Left",
    "ListenFailed",
    "LocalProtocolError",
    "LowLatencyProtocol",
    "Message",
    "MessageTooLarge",
    "PathChanged",
    "Player",
    "Posted",
    "Quality",
    "QueueFull",
    "Received",
    "RefusalReason",
    "ReliableProtocol",
    "Resumed",
    "ServerConfig",
    "Snapshot",
    "State",
    "Suspended",
    "Tick",
    "Unit",
    "Unreliable",
    "Writable",
    "__version__",
    "game",
    "serve",
]
