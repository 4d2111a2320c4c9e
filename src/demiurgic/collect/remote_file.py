"""A file of the hub as one that is read here: bytes come as they are asked for, and nothing is kept on the disk.

A connection that breaks is opened again where it broke off. A file that is read from its first byte to its last is held
against the digest that the hub lists; one that is sought in (parquet) against its size alone, which the commit decides.
"""

import hashlib
import io
import time
from typing import TYPE_CHECKING, Any, final

from demiurgic.collect.hub import HEADERS, Repository, plain_errors
from demiurgic.core.errors import UserError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from huggingface_hub.hf_api import RepoFile

ATTEMPTS = 5
"""How often a read is tried that brings nothing."""
FIRST_WAIT_SECONDS = 0.5
CHUNK_BYTES = 1 << 20
SKIPPED_BYTES = 1 << 20
"""A seek ahead by no more is read over: cheaper than another request."""


def open_remote(repository: Repository, file: "RepoFile", *, revision: str) -> io.BufferedReader:
    """Open a file of a commit; reading raises UserError when the hub refuses or does not answer."""
    return io.BufferedReader(_RemoteFile(repository, file, revision=revision), CHUNK_BYTES)


@final
class _RemoteFile(io.RawIOBase):
    def __init__(self, repository: Repository, file: "RepoFile", *, revision: str) -> None:
        super().__init__()
        self._repository = repository
        self._file = file
        self._revision = revision
        self._at = 0
        self._response: Any = None
        self._chunks: Any = iter(())
        self._rest = b""
        self._digest: Any = hashlib.sha256() if file.lfs else _git_blob(file.size)
        self._digested_bytes = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._file.size}[whence]
        if self._response is not None and 0 < place - self._at <= SKIPPED_BYTES:
            while self._at < place and (data := self._take(place - self._at)):
                self._at += len(data)
        elif place != self._at:
            self._hang_up()
            self._at = place
        return self._at

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer)
        data = self._take(len(view)) if self._at < self._file.size else b""
        view[: len(data)] = data
        if data and self._at == self._digested_bytes:
            self._digest.update(data)
            self._digested_bytes += len(data)
        self._at += len(data)
        if self._digested_bytes == self._file.size == self._at and data:
            self._refuse_other_content()
        return len(data)

    def close(self) -> None:
        self._hang_up()
        super().close()

    def _take(self, limit: int) -> bytes:
        """Up to `limit` of the next bytes; at least one."""
        from httpx2 import HTTPError

        with plain_errors(self._repository, revision=self._revision):
            for attempt in range(ATTEMPTS):
                try:
                    if self._response is None:
                        self._call()
                    if not self._rest:
                        self._rest = next(self._chunks, b"")
                    if self._rest:
                        data, self._rest = self._rest[:limit], self._rest[limit:]
                        return data
                except HTTPError:
                    if attempt == ATTEMPTS - 1:
                        raise
                self._hang_up()
                time.sleep(FIRST_WAIT_SECONDS * 2**attempt)
        raise UserError(f"{self._name} breaks off after {self._at} of {self._file.size} bytes. Run again later.")

    def _call(self) -> None:
        from huggingface_hub import hf_hub_url
        from huggingface_hub.utils import (  # type: ignore[attr-defined]
            build_hf_headers,
            get_session,
            hf_raise_for_status,
        )

        repository = self._repository
        url = hf_hub_url(
            repository.name,
            self._file.path,
            repo_type=repository.kind,
            revision=self._revision,
            endpoint=repository.endpoint,
        )
        headers = build_hf_headers(headers=HEADERS) | {"range": f"bytes={self._at}-", "accept-encoding": "identity"}
        session = get_session()
        response = session.send(session.build_request("GET", url, headers=headers), stream=True, follow_redirects=True)
        try:
            hf_raise_for_status(response)
            self._refuse_other_span(response)
        except BaseException:
            response.close()
            raise
        self._response, self._chunks = response, response.iter_raw()

    def _refuse_other_span(self, response: Any) -> None:
        """A server that knows no ranges sends the whole file; another file has another size."""
        span = response.headers.get("content-range", "")
        start, size = span.removeprefix("bytes ").partition("-")[0], span.rpartition("/")[2]
        if response.status_code != 206:
            start, size = "0", response.headers.get("content-length", str(self._file.size))
        if start != str(self._at) or size not in (str(self._file.size), "*"):
            raise UserError(
                f"{self._name}: the hub lists {self._file.size} bytes and was asked for those from {self._at} on; it "
                f"sends those from {start} on of {size}. Run again later."
            )

    def _refuse_other_content(self) -> None:
        listed = self._file.lfs.sha256 if self._file.lfs else self._file.blob_id
        if self._digest.hexdigest() != listed:
            raise UserError(f"{self._name} is not what the hub lists for it. Run again to read it anew.")

    @property
    def _name(self) -> str:
        return f"{self._repository.name}/{self._file.path}"

    def _hang_up(self) -> None:
        if self._response is not None:
            self._response.close()
        self._response, self._chunks, self._rest = None, iter(()), b""


def _git_blob(size_bytes: int) -> Any:
    """Git's digest of a file, begun."""
    return hashlib.sha1(b"blob %d\0" % size_bytes, usedforsecurity=False)
