"""Faults that are put in by hand, and where in gamenet they can strike.

A site is a call that the operating system, Twisted or somebody's callback can make fail, or a
handler that catches such a failure. Sites are found in the sources, so that a new one without a
row in ``test_faults.py`` is noticed; and a row that says it strikes a site is believed only if
its fault was raised through that very call or caught by that very handler.
"""

from __future__ import annotations

import ast
import builtins
import gc
import os
import sys
import threading
from functools import lru_cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from twisted.trial.unittest import SynchronousTestCase

import gamenet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CaseT = TypeVar("CaseT", bound="FaultCase")

CALLS = frozenset(
    {
        # Files.
        *(
            "open",
            "os.open",
            "os.read",
            "os.write",
            "os.stat",
            "os.fstat",
            "os.fsync",
            "os.replace",
        ),
        *("os.unlink", "os.fchown", "os.fchmod", "os.dup", "os.dup2", "os.close", "os.walk"),
        *("file.read", "file.write", "file.flush", "file.readline", "stream.flush", "getpass"),
        *("read_text", "read_bytes", "write_text", "write_bytes", "unlink", "mkdir", "rename"),
        *("stdin.write", "stdin.flush", "stdin.close", "buffer.readline", "load_verify_locations"),
        # Sockets.
        *("socket.socket", "socket.gethostname", "socket.getaddrinfo", "recvfrom", "sendto"),
        *("get_adapters", "if_indextoname"),
        *("setsockopt", "getsockopt", "getsockname", "setblocking", "found.listen", "fileno"),
        # Twisted's ports and connections.
        *("listenTCP", "listenUDP", "connectTCP", "adoptStreamPort", "startListening"),
        *("stopListening", "ports.listen", "listen_udp", "socket.open", "udp.open"),
        *("transport.write", "loseConnection", "loseWriteConnection", "abortConnection"),
        "_socket.send",
        *("setTcpNoDelay", "setTcpKeepAlive", "transport.getHost", "local.getHost"),
        *("endpoint.connect", "_endpoint.connect", "serverFromString", "SSL.Connection"),
        *("export_keying_material", "eventfd", "reactor.stop", "_reactor.stop"),
        # Processes and threads.
        *("thread.start", "_thread.start", "_reader.start", "Thread", "callInThreadWithCallback"),
        *("deferToThreadPool", "subprocess.Popen", "resource.getrlimit", "resource.setrlimit"),
        "signal.signal",
        # What is the user's.
        *("_sink.offer", "_portal.login", "logout", "ticket.settle", "credentials.settle"),
        *("login.cancel", "random_bytes", "_random_bytes", "on_game_end", "why"),
        *("generateChecker", "_checker.requestAvatarId", "import_module", "game", "game.run"),
        *("on_start", "on_stop", "on_event", "on_join", "on_leave", "on_input", "on_chat"),
        *("on_message", "on_tick", "_decoder.decode", "self._encode"),
    }
)
"""What can fail: a call whose dotted name is one of these, or ends in one."""
ALONE = frozenset({"open", "game", "logout"})
"""Those of one word that are functions: methods of the same name are others."""
CAUGHT = frozenset({"CannotListenError", "ReactorNotRunning", "Exception", "BaseException"})
"""Handlers of these are sites, besides those of ``OSError`` and what derives from it."""


class Site(NamedTuple):
    """A call or a handler, and the lines of it, or of what the handler watches over."""

    module: str
    function: str
    first: int
    last: int


class Frame(NamedTuple):
    """A function of gamenet that was under way, and its line."""

    module: str
    function: str
    line: int


_MADE = "the thread is made here and started elsewhere"
_LATER = "only looked up; where it is called has a row"
_MAIN_THREAD = "fails only outside the main thread, where none of these runs"
_TWISTED = "Twisted only notes it, and does it in a later turn; there is no session here"
_ABORT = "Twisted forgets the socket in a later turn, and asks the kernel nothing"
_NEW_FILE = "looks at the descriptor of a file that is new; only a folder is refused"
_HAS_FILE = "Python knows the number of an open file"
_ONLY_ASKS = (
    "a command that only asks; tests/live/test_top.py and tests/test_top_site.py have it happen"
)
_ITS_NUMBER = "a bell knows its number"
_NO_MEMORY = "OpenSSL makes one unless there is no memory; Twisted logs it and cuts the connection"

_IN_PLAY = "becomes a sentence on the screen, or nothing; tests/play has it happen"
_AT_START = "before anything is open; tests/play has it happen"

EXCLUDED = {
    "account_file.change open": _NEW_FILE,
    "account_file.read_file fileno": _HAS_FILE,
    "beacon.Beacon._open stopListening": "takes back what was opened a moment ago",
    "beacon.Beacon._start random_bytes": "raised before anything is open",
    "beacon.Beacon.stop stopListening as a value": _TWISTED,
    "certificates._write open": _NEW_FILE,
    "chat.LineReader.start Thread": "raised before anything is open",
    "cli.Interrupt.__enter__ signal.signal": _MAIN_THREAD,
    "cli.Interrupt.__exit__ signal.signal": _MAIN_THREAD,
    "cli._open_closed_streams open": "the null device, before anything is open",
    "cli.main fileno 2": "as os.dup2, in the same statement",
    "cli.main fileno": _HAS_FILE,
    "cli.main open": "as os.dup2, in the same block",
    "client_host.ClientHost._open_udp stopListening as a value": "as that of _disconnected",
    "core.server_session.ServerSession._new_path _random_bytes as a value": _LATER,
    "daemon.Daemon._heed signal.signal": _MAIN_THREAD,
    "daemon.Daemon.stopService signal.signal": _MAIN_THREAD,
    "doorbell.Bench.open fileno": _ITS_NUMBER,
    "doorbell.Doorbell.close os.close": "closes what it has opened itself, and nobody else knows",
    "doctor.reach.on_thread Thread": "raised before anything is open",
    "doctor.trust.Look._failed why": "gamenet's own, and pure",
    "doctor.trust.Look.stop abortConnection": _ABORT,
    "doctor.trust._Listener.handshakeCompleted loseConnection": _TWISTED,
    "facade.serve signal.signal": _MAIN_THREAD,
    "facade.serve signal.signal 2": _MAIN_THREAD,
    "game.GameThread.__init__ Thread": _MADE,
    "gate.open_files resource.getrlimit": "fails only for a limit that no system has",
    "gate.raise_open_files resource.getrlimit": "fails only for a limit that no system has",
    "joining.Door._session random_bytes as a value": _LATER,
    "descriptors.copied os.close": "closes what was opened a moment ago",
    "lan.join_group socket.socket as a value": "only asked what a port has",
    "listening.Listening._adopt os.close": "closes what was duplicated a moment ago",
    "listening.Listening._adopt_udp os.close": "closes what was duplicated a moment ago",
    "low_latency.LowLatencyProtocol.startProtocol sendto as a value": _LATER,
    "play.closing.Closing.begin Thread": _MADE,
    "play.closing.Closing.begin thread.start": _IN_PLAY,
    "play.app.App.tell except OSError": _IN_PLAY,
    "play.hosting.Hosting._run except GamenetError, OSError": _IN_PLAY,
    "play.hosting.Hosting._trust mkdir": _IN_PLAY,
    "play.hosting.Hosting.start Thread": _MADE,
    "play.hosting.Hosting.start thread.start": _IN_PLAY,
    "play.art.__main__.main except OSError, error": _AT_START,
    "play.art.__main__.main mkdir": _AT_START,
    "play.art.__main__.main write_text": _AT_START,
    "play.field_map._read except Exception": _AT_START,
    "play.field_map._read except OSError": _AT_START,
    "play.scenery._sheet except OSError, error": _AT_START,
    "ports.BudgetedPort.startListening except CannotListenError": "struck in tests/test_ports.py",
    "ports.BudgetedPort.startListening startListening": "as its handler",
    "ports.adopt stopListening": "takes back what was opened a moment ago",
    "metrics.files.read_page read_bytes": "a file of the package itself",
    "metrics.connections.StatusChannel._cut abortConnection": _ABORT,
    "metrics.connections.StatusChannel._end loseConnection": _TWISTED,
    "metrics.connections.StatusChannel._refuse loseConnection": _TWISTED,
    "metrics.connections.StatusChannel.timeoutConnection abortConnection": _ABORT,
    "ports.listen stopListening": "takes back what was opened a moment ago",
    "record_folder._Folder.close os.close": "closes what was opened a moment ago",
    "record_folder._opened os.close": "closes what was opened a moment ago",
    "record_folder._opened os.fstat": "looks at the descriptor of an open folder",
    "redial.Dialler._failed why as a value": _LATER,
    "relay_tcp.End._close_if_done loseConnection": _TWISTED,
    "relay_tcp.End.abort abortConnection": _ABORT,
    "relay_tcp.End.end_writing loseWriteConnection": _TWISTED,
    "relay_tcp.End.readConnectionLost loseConnection": _TWISTED,
    "relay_udp.Socket.port transport.getHost": "for who asks where the proxy is",
    "relay_udp.Socket.startProtocol sendto as a value": _LATER,
    "reliable.ReliableProtocol.abort abortConnection": _ABORT,
    "seeking.Seeker._open stopListening": _TWISTED,
    "seeking.Seeker.stop stopListening": _TWISTED,
    "server.TurnedAway.connectionMade abortConnection": _ABORT,
    "service.GameServerService._stop except TimeoutError": "Twisted's, of our own deadline",
    "serving._end_by signal.signal": _MAIN_THREAD,
    "snapshot._build except Exception": "pure, and struck in tests/test_snapshot.py",
    "stuck.StuckWatch.__init__ Thread": _MADE,
    "testing.live.LiveServer.__init__ Thread": _MADE,
    "testing.live.LiveServer.__init__ _reader.start": "raised to the test that has no server then",
    "testing.live.main Thread": "the process ends with its standard input",
    "threads.ensure_reactor Thread": _MADE,
    "threads.ensure_reactor thread.start": "raised to the caller before anything is open",
    "tickets.make_key open": _NEW_FILE,
    "tls.ClientCreator.clientConnectionForTLS SSL.Connection": _NO_MEMORY,
    "tls.ServerContext.serverConnectionForTLS SSL.Connection": _NO_MEMORY,
    "tls._BoundedTls.dataReceived abortConnection": _ABORT,
    "tls_folder.FolderContexts.serverConnectionForTLS SSL.Connection": _NO_MEMORY,
    "top.site.Site.look except ConnectionRefusedError": _ONLY_ASKS,
    "top.site.Site.look except HTTPException, ValueError, RecursionError, ConnectionResetError, "
    "BrokenPipeError": _ONLY_ASKS,
    "top.site.Site.look except OSError": _ONLY_ASKS,
    "top.site.Site.look except TimeoutError": _ONLY_ASKS,
    "top.site.Site.look_until Thread": "raised before anything is open",
    "top.site.Site.look_until thread.start": "raised before anything is open",
    "top.site.Site.look_until.<locals>.look except Exception": "raised to whoever waits for it",
    "top.site.Site._cut suppress OSError": "the other side was faster; test_top_site.py cuts one",
    "waker.Waker.fileno fileno": _ITS_NUMBER,
}
"""Sites without a row, and why."""
SIMULATED = ("baton", "connecting", "datagrams", "network", "reactor", "simulation", "streams")
"""Modules of ``gamenet.testing`` without rows: there is no system in them, all is simulated."""


# Finding sites.


def _is_caught(name: str) -> bool:
    found = getattr(builtins, name, None)
    is_os = isinstance(found, type) and issubclass(found, OSError)
    return is_os or name in CAUGHT


def _names(node: ast.expr | None) -> list[str]:
    if node is None:
        return ["BaseException"]
    parts = node.elts if isinstance(node, ast.Tuple) else [node]
    return [ast.unparse(part).rpartition(".")[2] for part in parts]


def _listed(dotted: str) -> str | None:
    """The longest of ``CALLS`` that a dotted name is, or ends in."""
    parts = dotted.split(".")
    if parts[-1] in ALONE and len(parts) > 1:
        parts = ["", *parts[-2:]]
        return ".".join(parts[1:]) if ".".join(parts[1:]) in CALLS else None
    tails = (".".join(parts[start:]) for start in range(len(parts)))
    return next((tail for tail in tails if tail in CALLS), None)


class _Finder(ast.NodeVisitor):
    """Collects the sites of one module."""

    def __init__(self, module: str) -> None:
        self.module = module
        self.found: dict[str, Site] = {}
        self._where: list[str] = []
        self._lines: list[tuple[int, int]] = []
        self._called: set[ast.AST] = set()

    def _enter(self, node: Any, *, is_function: bool) -> None:
        self._where.append(node.name)
        if is_function:
            self._where.append("<locals>")
            self._lines.append((node.lineno, node.end_lineno))
        for child in node.body:
            self.visit(child)
        if is_function:
            self._lines.pop()
            self._where.pop()
        self._where.pop()

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._enter(node, is_function=False)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._enter(node, is_function=True)

    def _add(self, what: str, first: int, last: int | None) -> None:
        where = self._where[:-1] if self._where[-1:] == ["<locals>"] else self._where
        function = ".".join(where)
        key = f"{self.module}.{function} {what}"
        number = 1
        while (key if number == 1 else f"{key} {number}") in self.found:
            number += 1
        site = Site(f"gamenet.{self.module}", function, first, last or first)
        self.found[key if number == 1 else f"{key} {number}"] = site

    def visit_Try(self, node: ast.Try) -> None:
        for handler in node.handlers:
            names = _names(handler.type)
            if any(_is_caught(name) for name in names):
                what = f"except {', '.join(names)}"
                self._add(what, node.body[0].lineno, node.body[-1].end_lineno)
        self.generic_visit(node)

    def visit_With(self, node: ast.With) -> None:
        for item in node.items:
            call = item.context_expr
            if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("suppress"):
                names = [ast.unparse(argument) for argument in call.args]
                if any(_is_caught(name) for name in names):
                    what = f"suppress {', '.join(names)}"
                    self._add(what, node.body[0].lineno, node.body[-1].end_lineno)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        self._called.add(node.func)
        dotted = ast.unparse(node.func) if _is_dotted(node.func) else _last_of(node.func)
        listed = _listed(dotted)
        if listed is not None:
            self._add(listed, node.lineno, node.end_lineno)
        if dotted == "getattr" and isinstance(node.args[1], ast.Constant):
            self._refer(str(node.args[1].value), node)
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """A method that is handed on, to be called somewhere else."""
        if node not in self._called and isinstance(node.ctx, ast.Load) and _is_dotted(node):
            self._refer(ast.unparse(node), node)
        self.generic_visit(node)

    def _refer(self, dotted: str, node: ast.expr) -> None:
        listed = _listed(dotted)
        if listed is not None and self._lines:
            # Where it is called is not known, but for the function.
            self._add(f"{listed} as a value", *self._lines[-1])


def _is_dotted(node: ast.AST) -> bool:
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name)


def _last_of(node: ast.AST) -> str:
    """What is called on something that is no name: the attributes at the end."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.insert(0, node.attr)
        node = node.value
    return ".".join(parts)


@lru_cache(maxsize=1)
def sites() -> dict[str, Site]:
    """Every site of gamenet but the demo's, by module, function and what it is."""
    found: dict[str, Site] = {}
    root = Path(gamenet.__file__).parent
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        if parts[0] != "demo" and not (parts[0] == "testing" and parts[-1] in SIMULATED):
            finder = _Finder(".".join(parts))
            finder.visit(ast.parse(path.read_text(encoding="utf-8")))
            found.update(finder.found)
    return found


# Putting faults in.


def _frames_below(frame: Any) -> Iterator[Frame]:
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith("gamenet"):
            yield Frame(module, frame.f_code.co_qualname, frame.f_lineno)
        frame = frame.f_back


def _frames_of(error: BaseException) -> Iterator[Frame]:
    trace = error.__traceback__
    while trace is not None:
        code, module = trace.tb_frame.f_code, trace.tb_frame.f_globals.get("__name__", "")
        yield Frame(module, code.co_qualname, trace.tb_lineno)
        trace = trace.tb_next


class Fault(Exception):
    """Nobody but a test raises it, so nobody can expect it."""


class Strike:
    """A callable that raises its errors, one a call, and then does what it stands for.

    :param instead: what it stands for.
    :param by: raise only where a function of this module of gamenet calls.
    :param after: calls that pass first.
    """

    def __init__(
        self,
        errors: tuple[BaseException, ...],
        instead: Callable[..., Any],
        by: str = "",
        after: int = 0,
    ) -> None:
        self.left = list(errors)
        self.raised: list[tuple[BaseException, frozenset[Frame]]] = []
        self._instead = instead
        self._by = by
        self._after = after

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        caller: Any = sys._getframe(1)
        while caller.f_globals["__name__"] == __name__:
            caller = caller.f_back
        if self.left and (not self._by or caller.f_globals["__name__"] == f"gamenet.{self._by}"):
            self._after -= 1
            if self._after < 0:
                error = self.left.pop(0)
                self.raised.append((error, frozenset(_frames_below(caller))))
                raise error
        return self._instead(*arguments, **named)

    def __get__(self, owner: Any, kind: Any = None) -> Any:
        """As a function in a class, it is a method."""
        if owner is None:
            return self

        def method(*arguments: Any, **named: Any) -> Any:
            return self(owner, *arguments, **named)

        return method


def descriptors() -> list[str]:
    """What this process has open."""
    folder = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"
    return sorted(os.listdir(folder))


def _nothing(*arguments: Any, **named: Any) -> None:
    """What a callback does after its fault."""


class FaultCase(SynchronousTestCase):
    """Puts faults in, and sees that nothing is left of them.

    What a test opens it closes by ``addCleanup``: what is left is looked for after that.
    """

    def setUp(self) -> None:
        self.strikes: list[Strike] = []
        before = self._open()

        def check() -> None:
            self.let_go()
            self.assertEqual(self._open(), before, "left behind")

        self.addCleanup(check)

    def let_go(self) -> None:
        """Forget the ways of what was raised, which hold all that was under way then."""
        for strike in self.strikes:
            for error, _ in strike.raised:
                error.__traceback__ = None

    def flush_unasked(self, kind: type[Exception]) -> None:
        """Have Twisted tell of failures that nobody has asked for, and take them."""
        self.let_go()
        gc.collect()
        self.flushLoggedErrors(kind)

    def _open(self) -> tuple[Any, ...]:
        from twisted.internet import reactor

        running: Any = reactor
        ours = [each.name for each in threading.enumerate() if each.name.startswith("gamenet")]
        # The descriptor that reads the list is in both.
        return (
            descriptors(),
            running.getDelayedCalls(),
            running.getReaders(),
            running.getWriters(),
            ours,
        )

    def callback(self, *errors: BaseException, then: Callable[..., Any] = _nothing) -> Strike:
        """Something of the user's that raises, and then does as *then*."""
        strike = Strike(errors or (Fault("of the user's"),), then)
        self.strikes.append(strike)
        return strike

    def strike(
        self, owner: Any, name: str, *errors: BaseException, by: str = "", after: int = 0
    ) -> Strike:
        """Have ``owner.name`` raise, for the length of the test or until it has."""
        strike = Strike(errors, getattr(owner, name), by, after)
        self.strikes.append(strike)
        self.patch(owner, name, strike)
        return strike

    def is_hit(self, key: str) -> bool:
        """Whether a fault was raised through this call, or caught by this handler."""
        site = sites()[key]
        is_handler = " except " in key or " suppress " in key
        for strike in self.strikes:
            for error, under_way in strike.raised:
                # Once a Deferred has had an error, its way is forgotten.
                frames = set(_frames_of(error)) if is_handler else set()
                if any(
                    (frame.module, frame.function) == site[:2]
                    and site.first <= frame.line <= site.last
                    for frame in frames or under_way
                ):
                    return True
        return False


# The table.


class Row(NamedTuple):
    """One line of the table: a fault, where it strikes, and where the outcome is seen."""

    test: str
    sites: tuple[str, ...]
    seen: tuple[str, ...]
    """Words of ``docs/ERRORS.rst``."""


ROWS: list[Row] = []


def at(where: str, *whats: str) -> tuple[str, ...]:
    """Sites of one function."""
    return tuple(f"{where} {what}" for what in whats)


def row(
    *places: tuple[str, ...], seen: tuple[str, ...] | str = ()
) -> Callable[[Callable[[CaseT], None]], Callable[[CaseT], None]]:
    """Make a test a row of the table.

    :param places: the sites that its faults must strike, each.
    :param seen: what ``docs/ERRORS.rst`` calls the outcome.
    """
    struck = tuple(site for place in places for site in place)

    def decorate(test: Callable[[CaseT], None]) -> Callable[[CaseT], None]:
        ROWS.append(Row(test.__qualname__, struck, (seen,) if isinstance(seen, str) else seen))

        @wraps(test)
        def run(self: CaseT) -> None:
            test(self)
            unused = [error for strike in self.strikes for error in strike.left]
            self.assertEqual(unused, [], "faults that were never raised")
            self.assertTrue(self.strikes, "no fault was put in")
            missed = [site for site in struck if not self.is_hit(site)]
            self.assertEqual(missed, [], "sites that were not struck")

        return run

    return decorate
