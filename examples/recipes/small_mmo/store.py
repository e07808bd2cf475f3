"""What outlives the server: characters, mutes and bans, and what moderators did, in SQLite.

A disk that takes a millisecond mostly takes a second now and then, so a thread of its own waits
for it. The game asks, and the answer is a call that comes back to its own thread by ``post``.
"""

import sqlite3
import threading
from functools import partial
from queue import SimpleQueue

import gamenet
from twisted.logger import Logger

log = Logger()
SCHEMA = """
begin;
create table if not exists character (account text primary key, zone text, x real, y real);
create table if not exists penalty (account text collate nocase, kind text, until real,
                                    primary key (account, kind));
create table if not exists audit (at real, who text, did text, whom text, said text);
commit;
"""


class Store:
    def __init__(self, path, post):
        self._db = sqlite3.connect(path, check_same_thread=False)
        self._db.executescript(SCHEMA)  # a path that cannot be ends the start, not the evening
        self._post = post
        self._unsaved = {}  # what the disk has not taken yet
        self._jobs = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="small-mmo-store")
        self._thread.start()

    # The game's thread. Nothing here waits, except for the end.

    def ask(self, do, *arguments, then=None):
        """Have *do* done after all that was asked before; *then* gets its answer and its error.

        In order: who leaves and is back at once finds what was saved.
        """
        self._jobs.put((do, arguments, then))

    def close(self):
        """Return once all is done."""
        self._jobs.put(None)
        self._thread.join()
        self._db.close()

    # The store's thread: the work itself.

    def load(self, account):
        """Its place, None for a new one, and the ends of its penalties by kind."""
        place = self._unsaved.get(account) or self._db.execute(
            "select zone, x, y from character where account = ?", (account,)).fetchone()
        return place, dict(self._db.execute(
            "select kind, until from penalty where account = ?", (account,)))

    def save(self, places):
        self._unsaved |= places  # with what a full disk refused the last time
        self._write("insert or replace into character values (?, ?, ?, ?)",
                    [(account, *place) for account, place in self._unsaved.items()])
        self._unsaved.clear()

    def penalise(self, *row):
        self._write("insert or replace into penalty values (?, ?, ?)", [row])

    def note(self, *row):
        self._write("insert into audit values (?, ?, ?, ?, ?)", [row])

    def _write(self, statement, rows):
        with self._db:  # all of them or none
            self._db.executemany(statement, rows)

    def _run(self):
        while (job := self._jobs.get()) is not None:
            self._do(*job)

    def _do(self, do, arguments, then):
        answer = error = None
        try:
            answer = do(*arguments)
        except Exception as problem:  # whatever it is: the next one is done all the same
            error = problem
            log.error("{do}: {error}", do=do.__qualname__, error=error)
        if then is not None:
            try:
                self._post(partial(then, answer, error))
            except gamenet.GamenetError:
                pass  # the server has stopped: nobody waits for the answer any more
