"""llama.cpp's own server in this process, reached by a socket file that this user alone may open; no port is opened.

Knows no conversation: bodies in, objects out. Closing a stream stops its work within a token.
"""

import contextlib
import fcntl
import http.client
import json
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from demiurgic.core.errors import UserError
from demiurgic.core.optional import require
from demiurgic.providers.base import ProviderError

LONGEST_FOLDER = 70
"""Bytes of the folder that sockets are made in: the kernel's limit for a socket's whole path is 104 (macOS) or 108."""
NUM_CONNECTIONS = 64
"""Threads that wait on connections; they do no work of their own."""
SILENT = -1
PREFIX = "demiurgic-"
SOCKET = "llama.sock"


class LlamaServer:
    """One GGUF file, one answer at a time. Raises UserError for a file that llama.cpp does not load."""

    def __init__(self, file: Path, *, threads: int, context_length: int, use_gpu: bool) -> None:
        require("xllamacpp")
        import xllamacpp

        _sweep(Path(_folder_for_sockets()))
        # A folder that its owner alone may read; the lock on it dies with this process.
        self._folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=_folder_for_sockets()))
        self._alive: int | None = os.open(self._folder, os.O_RDONLY)
        fcntl.flock(self._alive, fcntl.LOCK_EX)
        self._socket = self._folder / SOCKET
        self._open: set[http.client.HTTPConnection] = set()
        self._lock = threading.Lock()
        try:
            self._server: Any = xllamacpp.Server(self._parameters(file, threads, context_length, use_gpu))
        except RuntimeError as error:
            self._remove_folder()
            raise UserError(
                f"llama.cpp does not load {file} ({error}) The file is damaged, of an architecture it does not know, "
                f"or memory ran out for a context of {context_length} tokens: copy or export it again, or ask for a "
                "smaller context."
            ) from None
        # llama.cpp's loop starts in a thread of its own; closed before it runs, the server would never end.
        self.ask("/completion", {"prompt": [0], "n_predict": 1})

    def ask(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """One object for one object."""
        with self._posted(path, body) as response:
            found: dict[str, Any] = json.loads(response.read())
        return found

    def stream(self, path: str, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The objects of a stream, as they come. Raises ProviderError when llama.cpp gives up."""
        with self._posted(path, {**body, "stream": True}) as response:
            while line := response.readline():
                if line.startswith(b"data: "):
                    yield _checked(json.loads(line[6:].decode("utf-8", "replace")))
                elif line.startswith(b"error: "):
                    raise _refusal(json.loads(line[7:]))

    def close(self) -> None:
        """Break off what is running, and free the memory. A second call does nothing."""
        with self._lock:
            running, self._open = self._open, set()
        for connection in running:
            _hang_up(connection)
        self._server = None
        self._remove_folder()

    def _remove_folder(self) -> None:
        with self._lock:
            alive, self._alive = self._alive, None
        if alive is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            os.close(alive)

    def _parameters(self, file: Path, threads: int, context_length: int, use_gpu: bool) -> Any:
        import xllamacpp

        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(file)
        parameters.hostnames = [str(self._socket)]
        parameters.n_threads_http = NUM_CONNECTIONS
        parameters.ui = parameters.endpoint_slots = False
        parameters.verbosity = SILENT
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
        parameters.n_gpu_layers = -1 if use_gpu else 0
        # n_ctx is shared out among the slots; fit_params would shrink it, ctx_shift forget the beginning, unasked.
        parameters.n_ctx, parameters.n_parallel = context_length, 1
        parameters.fit_params = parameters.ctx_shift = parameters.warmup = False
        return parameters

    @contextlib.contextmanager
    def _posted(self, path: str, body: Mapping[str, Any]) -> Iterator[http.client.HTTPResponse]:
        connection = _SocketFile(self._socket)
        with self._lock:
            if self._server is None:
                raise ProviderError("The model was closed.", retryable=False)
            self._open.add(connection)
        try:
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            response = connection.getresponse()
            if response.status != http.client.OK:
                raise _refusal(json.loads(response.read()))
            yield response
        except (OSError, http.client.HTTPException) as error:
            raise ProviderError(f"llama.cpp broke off: {error!r}", retryable=False) from None
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()


class _SocketFile(http.client.HTTPConnection):
    """HTTP over a socket file."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))


def _folder_for_sockets() -> str:
    usual = tempfile.gettempdir()
    return usual if len(os.fsencode(usual)) <= LONGEST_FOLDER else "/tmp"


def _sweep(folder: Path) -> None:
    """Delete what killed processes of this user left: folders with a socket that nobody holds the lock of."""
    for path in folder.glob(f"{PREFIX}*/{SOCKET}"):
        try:
            handle = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:  # another process was faster, or it is somebody else's
            continue
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(handle).st_uid == os.geteuid():
                shutil.rmtree(path.parent, ignore_errors=True)
        os.close(handle)


def _hang_up(connection: http.client.HTTPConnection) -> None:
    # close() alone waits for whoever reads the response; shutdown() wakes them.
    with contextlib.suppress(OSError, AttributeError):
        connection.sock.shutdown(socket.SHUT_RDWR)


def _checked(event: dict[str, Any]) -> dict[str, Any]:
    if "error" in event:
        raise _refusal(event)
    return event


def _refusal(body: Mapping[str, Any]) -> ProviderError:
    error = body.get("error", body)
    return ProviderError(f"llama.cpp refuses: {error.get('message', error)}", retryable=False)
