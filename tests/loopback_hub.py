"""A hub on this machine's loopback that speaks the few routes a download takes, with the troubles a real one has."""

import hashlib
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """One repository at one commit: `tiny/model`, and the same files as the dataset `tiny/set`."""

    folder: Path
    url: str = ""
    gated: bool = False
    cut_after: dict[str, int] = field(default_factory=dict)
    """File names, and after how many bytes the next answer for each breaks off."""
    replaced: dict[str, bytes] = field(default_factory=dict)
    """File names, and what is sent in place of what is listed."""
    files_host: str = ""
    """Where large files are redirected to, if they are."""
    asked: list[tuple[str, str, str | None, str | None]] = field(default_factory=list)
    """Method, path, Range and Authorization of every request."""

    def asked_for(self, name: str) -> list[str | None]:
        """The Range of each GET of a file."""
        return [span for method, path, span, _ in self.asked if method == "GET" and path.endswith(f"/{name}")]


class QuietServer(ThreadingHTTPServer):
    """Says nothing of callers that hang up, as those do who have read enough."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        headers = self.headers
        self.hub.asked.append((self.command, self.path, headers.get("Range"), headers.get("Authorization")))
        path = self.path.partition("?")[0]
        if "/resolve/" in path or path.startswith("/files/"):
            self.file(path, body=body)
        elif path.startswith(("/api/models/tiny/model/tree/", "/api/datasets/tiny/set/tree/")):
            self.tree(path.rpartition("/")[2], deep="recursive=true" in self.path.lower())
        elif path.startswith(("/api/models/tiny/model", "/api/datasets/tiny/set")):
            revision = path.rpartition("/revision/")[2] if "/revision/" in path else "main"
            known = revision in ("main", COMMIT)
            self.json({"id": "/".join(path.split("/")[3:5]), "sha": COMMIT}) if known else self.refuse(
                404, "RevisionNotFound"
            )
        else:
            self.refuse(401, "RepoNotFound")

    def tree(self, revision: str, *, deep: bool) -> None:
        if revision != COMMIT:
            return self.refuse(404, "RevisionNotFound")
        paths = self.hub.folder.rglob("*") if deep else self.hub.folder.iterdir()
        return self.json([self.entry(path) for path in sorted(paths) if path.is_file()])

    def entry(self, path: Path) -> dict[str, object]:
        content = path.read_bytes()
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        entry: dict[str, object] = {
            "type": "file",
            "path": path.relative_to(self.hub.folder).as_posix(),
            "size": len(content),
            "oid": blob,
        }
        if path.suffix in (".safetensors", ".parquet", ".gz", ".zst"):
            sha256 = hashlib.sha256(content).hexdigest()
            entry["lfs"] = {"oid": sha256, "size": len(content), "pointerSize": 130}
        return entry

    def file(self, path: str, *, body: bool) -> None:
        name = path.removeprefix("/files/").partition(f"/resolve/{COMMIT}/")[2] or path.rpartition("/")[2]
        source = self.hub.folder / name
        if self.hub.gated:
            return self.refuse(403, "GatedRepo")
        if not source.is_file():
            return self.refuse(404, "EntryNotFound")
        entry, content = self.entry(source), self.hub.replaced.get(name, source.read_bytes())
        if self.hub.files_host and "lfs" in entry and not path.startswith("/files/"):
            return self.send(
                302, b"", {"Location": f"{self.hub.files_host}/files/{name}", **self.facts(entry)}, body=body
            )
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
        status = 206 if start else 200
        span = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
        return self.send(status, content[start:], {**self.facts(entry), **span}, body=body, name=name)

    def facts(self, entry: dict) -> dict[str, str]:
        etag = entry["lfs"]["oid"] if "lfs" in entry else entry["oid"]
        return {
            "X-Repo-Commit": COMMIT,
            "ETag": f'"{etag}"',
            "X-Linked-Etag": f'"{etag}"',
            "X-Linked-Size": str(entry["size"]),
        }

    def send(self, status: int, content: bytes, headers: dict[str, str], *, body: bool, name: str = "") -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        cut = self.hub.cut_after.pop(name, None) if body else None
        if body:
            self.wfile.write(content[:cut])
        if cut is not None:
            self.wfile.flush()
            self.connection.close()
            self.close_connection = True

    def json(self, value: object) -> None:
        self.send(200, json.dumps(value).encode(), {"Content-Type": "application/json"}, body=self.command == "GET")

    def refuse(self, status: int, code: str) -> None:
        self.send(status, b"{}", {"X-Error-Code": code, "X-Error-Message": code}, body=self.command == "GET")

    def log_message(self, *args: object) -> None:
        del args


@contextmanager
def loopback_hub(folder: Path) -> Iterator[Hub]:
    """Serve a folder's files as the repository `tiny/model`."""
    hub = Hub(folder)
    server = QuietServer(("127.0.0.1", 0), type("OneHub", (Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
