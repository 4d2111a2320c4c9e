"""The SQLite file behind a journal: what was asked, what was answered, and who is asking now.

One commit per reply, in WAL mode with synchronous = NORMAL: an answer survives the death of the process; a power cut
may lose the last ones. Works on a disk of this machine, not over NFS. Knows no provider, and never asks anything.
"""

import json
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from demiurgic.core.console import now
from demiurgic.core.errors import UserError
from demiurgic.providers.base import Reply, Usage
from demiurgic.providers.sessions import Session

APPLICATION_ID = 0x444D4A31  # "DMJ1", in the file's header: how a journal is told from other SQLite files
FORMAT = 1
BUSY_SECONDS = 60.0
LOOK_SECONDS = 0.01
"""How often to try what SQLite itself does not wait for."""

TABLES = """
CREATE TABLE answers (
  key TEXT PRIMARY KEY,
  request TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('asked', 'failed', 'answered')),
  session INTEGER NOT NULL,
  num_unknown INTEGER NOT NULL DEFAULT 0,
  asked TEXT NOT NULL,
  text TEXT, finish TEXT, prompt_tokens INTEGER, completion_tokens INTEGER, raw TEXT, seconds REAL, answered TEXT
);
CREATE TABLE sessions (id INTEGER PRIMARY KEY AUTOINCREMENT, started TEXT NOT NULL);
"""
ANSWERED = """
UPDATE answers SET state = 'answered', text = ?, finish = ?, prompt_tokens = ?, completion_tokens = ?, raw = ?,
  seconds = ?, answered = ?
WHERE key = ?
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """A reply from the file, and how often its question had been asked with an outcome nobody knows."""

    reply: Reply
    num_unknown: int


class AnswerFile:
    """The file, for all threads of this process. Raises UserError where it is damaged, foreign, or finds no room."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = Lock()
        self._session: Session | None = None
        self._broken: UserError | None = None
        with self._explained():
            path.parent.mkdir(parents=True, exist_ok=True)
            # One connection behind one lock: a commit takes 0.2 ms, an answer never less.
            self._connection = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
        try:
            self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def kept(self, key: str) -> Kept | None:
        with self._lock, self._explained():
            row = self._row(key)
        return Kept(_reply(row), row["num_unknown"]) if row is not None and row["state"] == "answered" else None

    def claim(self, key: str, request: str) -> bool:
        """Write down that we ask; False when a living process is asking, or has been answered in the meantime."""
        with self._lock, self._explained():
            if self._broken is not None:  # what could not be kept must not be paid for
                raise self._broken
            session = self._own_session()
            with self._transaction():
                return self._claim(key, request, session)

    def keep(self, key: str, reply: Reply, *, seconds: float) -> Kept:
        """Write the answer down. Afterwards nothing but the loss of the file loses it."""
        usage = reply.usage
        values = (
            reply.text,
            reply.finish,
            usage.prompt_tokens if usage else None,
            usage.completion_tokens if usage else None,
            json.dumps(reply.raw, sort_keys=True) if reply.raw is not None else None,
            round(seconds, 3),
            now(),
            key,
        )
        with self._lock, self._explained(), self._transaction():
            self._connection.execute(ANSWERED, values)
            row = self._row(key)
        assert row is not None
        return Kept(reply, row["num_unknown"])

    def not_answered(self, key: str, *, unknown: bool) -> None:
        """Write down that we ask no more. `unknown`: the service may have answered all the same."""
        with self._lock, self._explained(), self._transaction():
            self._connection.execute(
                "UPDATE answers SET state = 'failed', num_unknown = num_unknown + ? WHERE key = ?", (int(unknown), key)
            )

    def num_answers(self) -> int:
        with self._lock, self._explained():
            return self._number("SELECT count(*) FROM answers WHERE state = 'answered'")

    def num_unknown(self, key: str) -> int:
        with self._lock, self._explained():
            row = self._row(key)
        return row["num_unknown"] if row else 0

    def close(self) -> None:
        with self._lock:
            self._connection.close()
            if self._session is not None:
                self._session.close()

    def _prepare(self) -> None:
        with self._explained():
            # Looked at and filled in one transaction: of several processes that open a new file, one creates it.
            with self._transaction():
                if self._is_new():
                    self._create()
            self._write_ahead()
            # Survives the death of the process; a power cut may lose the last answers.
            self._connection.execute("PRAGMA synchronous = NORMAL")

    def _is_new(self) -> bool:
        """Whether the file is empty. Raises UserError for one that is neither empty nor a journal."""
        application, version = self._number("PRAGMA application_id"), self._number("PRAGMA user_version")
        if (application, version) == (APPLICATION_ID, FORMAT):
            return False
        if application == 0 and not self._number("SELECT count(*) FROM sqlite_master"):
            return True
        raise UserError(
            f"{self.path} is no journal of answers that this version can read (application {application:#x}, "
            f"format {version}). Move it away, or name another file."
        )

    def _create(self) -> None:
        for statement in filter(str.strip, TABLES.split(";")):
            self._connection.execute(statement)
        self._connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        self._connection.execute(f"PRAGMA user_version = {FORMAT}")

    def _write_ahead(self) -> None:
        """Switch to WAL mode. SQLite does not wait where two switch at once: each would wait for the other."""
        end = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                    raise
            time.sleep(LOOK_SECONDS)

    def _number(self, query: str) -> int:
        value: int = self._connection.execute(query).fetchone()[0]
        return value

    def _claim(self, key: str, request: str, session: Session) -> bool:
        row = self._row(key)
        if row is None:
            values = (key, request, session.number, now())
            self._connection.execute(
                "INSERT INTO answers (key, request, state, session, asked) VALUES (?, ?, 'asked', ?, ?)", values
            )
            return True
        others = row["state"] == "asked" and row["session"] != session.number
        if row["state"] == "answered" or (others and Session.lives(self.path, row["session"])):
            return False
        # Still marked as asked, and nobody is there to hear the answer.
        num_unknown = row["num_unknown"] + (row["state"] == "asked")
        self._connection.execute(
            "UPDATE answers SET state = 'asked', session = ?, asked = ?, num_unknown = ? WHERE key = ?",
            (session.number, now(), num_unknown, key),
        )
        return True

    def _own_session(self) -> Session:
        if self._session is None:
            with self._transaction():
                cursor = self._connection.execute("INSERT INTO sessions (started) VALUES (?)", (now(),))
            assert cursor.lastrowid is not None
            self._session = Session(self.path, cursor.lastrowid)
        return self._session

    def _row(self, key: str) -> dict[str, Any] | None:
        cursor = self._connection.execute("SELECT * FROM answers WHERE key = ?", (key,))
        row = cursor.fetchone()
        return None if row is None else dict(zip((column[0] for column in cursor.description), row, strict=True))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:  # after a full disk SQLite may have rolled it back already
                self._connection.execute("ROLLBACK")
            raise

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what SQLite says of the file into a UserError. What it says of our own SQL keeps its traceback."""
        try:
            yield
        except sqlite3.Error as error:
            reason = REASONS.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
            if reason is None:
                raise
            self._broken = UserError(f"The journal of answers {self.path} {reason} (SQLite: {error}).")
            raise self._broken from error


REASONS = {
    sqlite3.SQLITE_FULL: "finds no room: the disk is full. All that it kept so far is safe. Free some space, then run "
    "the same command again",
    sqlite3.SQLITE_IOERR: "cannot be written. All that it kept so far is safe. See to the disk (space, quota), then "
    "run the same command again",
    sqlite3.SQLITE_CORRUPT: "is damaged. Bring it back from a copy, or move it away: what it kept will then be asked, "
    "and paid for, again",
    sqlite3.SQLITE_NOTADB: "is no journal, or is damaged. Bring it back from a copy, or move it away: what it kept "
    "will then be asked, and paid for, again",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened. Name a file in a folder that can be written",
    sqlite3.SQLITE_READONLY: "cannot be written. Make the file and its folder writable, or name another",
    sqlite3.SQLITE_BUSY: f"was held by another process for more than {BUSY_SECONDS:.0f} s. Wait for that one to end",
}
"""By SQLite's primary result code (https://sqlite.org/rescode.html)."""


def _reply(row: Mapping[str, Any]) -> Reply:
    counted = row["prompt_tokens"] is not None
    usage = Usage(row["prompt_tokens"], row["completion_tokens"]) if counted else None
    return Reply(row["text"], row["finish"], usage, None if row["raw"] is None else json.loads(row["raw"]))
