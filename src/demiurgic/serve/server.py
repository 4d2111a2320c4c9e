"""An HTTP server over providers, in a thread of this process: started, waited for, stopped."""

import errno
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from demiurgic.core.errors import UserError
from demiurgic.core.optional import require
from demiurgic.serve.app import Access, build_app, is_loopback
from demiurgic.serve.wire import Models

LOOPBACK = "127.0.0.1"
KEEP_ALIVE_SECONDS = 75
"""How long an idle connection is kept: longer than clients keep theirs, so that none is closed under a request."""
BACKLOG = 1024


class Server:
    """Takes its port at once, and answers from `start` to `stop`; used in a `with` block, its value is the address.

    Raises UserError for a port in use, a host that is not this machine's, and one that others reach without a key.
    """

    def __init__(self, models: Models, *, host: str = LOOPBACK, port: int = 0, api_key: str | None = None) -> None:
        require("starlette", "uvicorn")
        if not is_loopback(host) and not api_key:
            raise UserError(
                f"The host {host} can be reached from other machines, and there is no API key. Give one with "
                "--api-key-env NAME, or serve on 127.0.0.1."
            )
        self._socket = _listening(host, port)
        self.address = _address(host, self._socket)
        self._server = _server(models, api_key=api_key)
        self._thread = threading.Thread(target=self._run, name="serve", daemon=True)

    def __enter__(self) -> str:
        self.start()
        return self.address

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Return when requests are answered."""
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            self._thread.join(0.002)
        if not self._thread.is_alive():
            raise AssertionError("the server ended before it began")

    def stop(self, *, at_once: bool = False) -> None:
        """Take no more requests; return when running answers have ended, or `at_once` cut them off."""
        self.ask_to_stop(at_once=at_once)
        self._thread.join()

    def ask_to_stop(self, *, at_once: bool = False) -> None:
        self._server.should_exit = True
        self._server.force_exit = self._server.force_exit or at_once

    def stopped(self, *, within_seconds: float) -> bool:
        """Wait a while for the end."""
        self._thread.join(within_seconds)
        return not self._thread.is_alive()

    def close(self) -> None:
        """Give the port back, whether it was started or not."""
        if self._thread.is_alive():
            self.stop(at_once=True)
        self._socket.close()

    def _run(self) -> None:
        with self._socket:
            self._server.run(sockets=[self._socket])


@contextmanager
def serving(models: Models, *, host: str = LOOPBACK, port: int = 0, api_key: str | None = None) -> Iterator[str]:
    """Serve providers while the block runs; yields the address, such as `http://127.0.0.1:41233`.

    Raises UserError as `Server` does. The providers stay open.
    """
    with Server(models, host=host, port=port, api_key=api_key) as address:
        yield address


def _listening(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (socket.gaierror, OverflowError) as error:
        raise UserError(f"{host}:{port} is no address of this machine ({error}). Try --host 127.0.0.1.") from None
    found = socket.socket(family, kind, protocol)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(place)
        found.listen(BACKLOG)
    except OSError as error:
        found.close()
        if error.errno == errno.EADDRINUSE:
            raise UserError(
                f"The port {port} of {host} is in use. Stop what listens there, or take another with --port "
                f"{port + 1}; --port 0 finds a free one."
            ) from None
        raise UserError(f"{host}:{port} cannot be listened on ({error.strerror}). Try --host 127.0.0.1.") from None
    return found


def _address(host: str, listening: socket.socket) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listening.getsockname()[1]}"


def _server(models: Models, *, api_key: str | None) -> Any:
    import uvicorn

    return uvicorn.Server(
        uvicorn.Config(
            build_app(models, access=Access(api_key)),
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
    )
