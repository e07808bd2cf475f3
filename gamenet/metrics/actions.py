"""What may be done from the status page: by ``POST``, with a token, and written down.

Layer 4. Runs on: the reactor thread.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from twisted.logger import Logger

from gamenet.core.text import clean
from gamenet.errors import GamenetError, QueueFull
from gamenet.metrics.guard import Tokens, header_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.web.http import Request

    from gamenet.events import Player
    from gamenet.metrics.guard import Access
    from gamenet.metrics.report import StatusSource
    from gamenet.server_verbs import ServerVerbs

log = Logger()

MAX_ACTION_BYTES: Final = 4_096
"""Of the body of a request."""
MOST_SECONDS: Final = 10 * 365 * 86_400
"""Of a ban: ten years."""

Text = Annotated[str, msgspec.Meta(max_length=200)]
PlayerId = Annotated[int, msgspec.Meta(ge=1, lt=1 << 32)]


class Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """``{}``: there is nothing to say."""


class Drain(msgspec.Struct, forbid_unknown_fields=True):
    """Have the server emptied; how long that may take, and why."""

    seconds: Annotated[float, msgspec.Meta(gt=0, le=86_400)] | None = None
    text: Annotated[str, msgspec.Meta(max_length=400)] = ""


class Kick(msgspec.Struct, forbid_unknown_fields=True):
    """Remove a player, who reads the text."""

    player: PlayerId
    text: Text = ""


class Ban(msgspec.Struct, forbid_unknown_fields=True):
    """Remove a player, and keep account and address out for a while."""

    player: PlayerId
    seconds: Annotated[float, msgspec.Meta(gt=0, le=MOST_SECONDS)]
    text: Text = ""


class Say(msgspec.Struct, forbid_unknown_fields=True):
    """Show a line of chat to everybody, or to one player."""

    text: Annotated[str, msgspec.Meta(max_length=500)]
    player: PlayerId | None = None


class Refused(Exception):
    """An action is not carried out.

    :param code: of the answer.
    :param text: a sentence for whoever asked.
    :param logged: the same for the log; "" for the same words.
    """

    def __init__(self, code: int, text: str, logged: str = "") -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.logged = logged or text


class Actions:
    """The actions of one server.

    :param drain: called to have the server emptied, with seconds and a text for the players where
        they are given; False that it returns says that it is being emptied or stopped already.
        None where it cannot be.
    :param dump: called to have the last minute written down; text that it returns says where. None
        where there is none.
    """

    def __init__(
        self,
        service: StatusSource,
        access: Access,
        drain: Callable[..., object] | None,
        dump: Callable[[], object] | None,
    ) -> None:
        self._service = service
        self._access = access
        self._tokens = Tokens(access.token, service.host.now)
        self._drain = drain
        self._dump = dump
        offered: dict[str, tuple[Any, Callable[[Any], str]]] = {
            "kick": (Kick, self._kick),
            "ban": (Ban, self._ban),
            "say": (Say, self._say),
        }
        if drain is not None:
            offered["drain"] = (Drain, self._do_drain)
        if dump is not None:
            offered["dump"] = (Nothing, self._do_dump)
        self._offered = offered if access.token else {}

    @property
    def names(self) -> list[str]:
        """Those that this server offers."""
        return list(self._offered)

    def run(self, name: str, request: Request) -> str:
        """Do what a ``POST`` asks for.

        :returns: what was done, in a sentence.
        :raises Refused: saying why not.
        """
        peer = request.getClientAddress()
        address = str(getattr(peer, "host", "?"))
        asked: Any = None
        outcome = "failed"
        try:
            self._check(request, address)
            kind, do = self._offered[name]
            asked = _read(request, kind)
            outcome = do(asked)
        except Refused as refused:
            outcome = f"refused: {refused.logged}"
            if asked is None:
                # Whoever has no token must not be able to fill the log.
                self._note(name, address, refused)
            raise
        finally:
            if asked is not None:
                log.info(
                    "status action by {address}:{port}: {name} {asked} -> {outcome}",
                    address=address,
                    port=getattr(peer, "port", 0),
                    name=name,
                    asked=ascii(msgspec.to_builtins(asked)),
                    outcome=outcome,
                )
        return outcome

    def _note(self, name: str, address: str, refused: Refused) -> None:
        host = self._service.host
        count = host.faults.note("status action", address, host.now())
        if count:
            log.warn(
                "status action by {address}: {name} -> refused: {text} ({count} such)",
                address=address,
                name=name,
                text=refused.logged,
                count=count,
            )

    def _check(self, request: Request, address: str) -> None:
        """:raises Refused: if it does not come from who may ask."""
        host, origin, site = (
            header_of(request, name) for name in (b"host", b"origin", b"sec-fetch-site")
        )
        if not self._access.is_same_origin(host, origin, site):
            raise Refused(
                403,
                "actions are for the status page itself; behind a proxy, name it by --status-host",
                "asked by a page from elsewhere",
            )
        wait = self._tokens.wait_seconds(address)
        if wait > 0:
            request.setHeader(b"Retry-After", b"%d" % ceil(wait))
            raise Refused(
                429,
                "too many wrong tokens came from your address; wait, and try again",
                "too many wrong tokens",
            )
        if not self._tokens.is_right(header_of(request, b"authorization"), address):
            request.setHeader(b"WWW-Authenticate", b"Bearer")
            raise Refused(
                401,
                "send the token of the server's --status-token file: Authorization: Bearer ...",
                "no token, or a wrong one",
            )

    # What they do.

    def _kick(self, asked: Kick) -> str:
        player = self._player(asked.player)
        self._verbs.disconnect(player, clean(asked.text))
        return f"{player.name} is out"

    def _ban(self, asked: Ban) -> str:
        host = self._service.host
        if host.registry.by_player.get(asked.player) is None and host.can_ban(asked.player):
            # A ban must not be a matter of being quick.
            host.run(host.ban, asked.player, asked.seconds)
            return f"player {asked.player} has left, and stays out for {asked.seconds:g} s"
        player = self._player(asked.player)
        self._verbs.disconnect(player, clean(asked.text), ban_seconds=asked.seconds)
        return f"{player.name} is out for {asked.seconds:g} s"

    def _say(self, asked: Say) -> str:
        to = None if asked.player is None else self._player(asked.player)
        try:
            self._verbs.say(asked.text, to=to)
        except ValueError as error:
            raise Refused(400, str(error)) from None
        except QueueFull as error:
            raise Refused(503, str(error)) from None
        return f"said to {'everybody' if to is None else to.name}"

    def _do_drain(self, asked: Drain) -> str:
        assert self._drain is not None
        has_words = asked.seconds is not None or asked.text
        try:
            began = self._drain(asked.seconds, asked.text) if has_words else self._drain()
        except ValueError as error:
            raise Refused(400, str(error)) from None
        except GamenetError as error:
            raise Refused(409, str(error)) from None
        if began is False:
            raise Refused(409, "it is being emptied or stopped already")
        return "draining: newcomers are refused, and players were told"

    def _do_dump(self, asked: Nothing) -> str:
        assert self._dump is not None
        try:
            where = self._dump()
        except GamenetError as error:
            raise Refused(503, str(error)) from None
        return f"written: {where}" if isinstance(where, str) else "written"

    @property
    def _verbs(self) -> ServerVerbs:
        return self._service.host.verbs

    def _player(self, player_id: int) -> Player:
        """:raises Refused: if nobody has that id."""
        player = self._verbs.find(player_id)
        if player is None:
            raise Refused(404, f"nobody who plays has the id {player_id}")
        return player


def _read(request: Request, kind: Any) -> Any:
    """The body of a request.

    :raises Refused: if it is not what it should be.
    """
    content = (header_of(request, b"content-type") or "").partition(";")[0].strip().lower()
    if content != "application/json":
        raise Refused(415, "send JSON: Content-Type: application/json")
    assert request.content is not None
    try:
        return msgspec.json.decode(request.content.read(), type=kind)
    except msgspec.DecodeError as error:
        # It may name a field of the body, which can be anything.
        raise Refused(400, clean(f"that is not what this action takes: {error}")) from None
