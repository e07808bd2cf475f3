"""Reading again, while a server runs, what it was started with: settings, certificate and key.

Layer 4. Runs on: the reactor thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.logger import Logger

from gamenet.errors import ConfigError
from gamenet.gate import files_for, raise_open_files
from gamenet.live_settings import Change, change

if TYPE_CHECKING:
    from collections.abc import Callable

    from gamenet.config import ServerConfig
    from gamenet.service import GameServerService

log = Logger()


def reload(server: GameServerService, reread: Callable[[], ServerConfig] | None) -> None:
    """Have what is in the files hold from now on: all of it, or, if anything is wrong, nothing.

    What became of it is in the log.

    :param reread: reads the config file again; None if there is none.
    """
    found: Change | None = None
    if reread is not None:
        try:
            found = change(server.config, reread())
        except ConfigError as error:
            log.error(
                "nothing was changed, because the config file cannot be used: {error}",
                error=str(error),
            )
            server.note("reload", refused="settings", field=error.field)
            return
    elif not server.secure:
        log.info("there is no certificate to read again, this server is insecure")
        return
    is_ours = False
    if server.secure:
        try:
            is_ours = server.reload()
        except ConfigError as error:
            log.error(
                "the certificate in use stays{others}, because the new one cannot be used: {error}",
                others="" if found is None else ", and so do the settings",
                error=str(error),
            )
            server.note("reload", refused="certificate", field=error.field)
            return
        if is_ours:
            log.info("the certificate was read again: sha256={pin}", pin=server.fingerprint)
        else:
            log.info("this listening endpoint reads its certificates itself")
    changed, kept = ([], []) if found is None else (found.changed, found.kept)
    server.note("reload", changed=changed, kept=kept, certificate=is_ours)
    if found is not None:
        _apply(server, found)


def _apply(server: GameServerService, found: Change) -> None:
    if found.changed:
        # More players may come than the process has files for so far.
        raise_open_files(files_for(found.config))
        server.reconfigure(found.config)
        log.info("settings changed: {changed}", changed=", ".join(found.changed))
    elif not found.kept:
        log.info("no setting of the config file has changed")
    if found.kept:
        log.warn("needs a restart: {kept}", kept=", ".join(found.kept))
