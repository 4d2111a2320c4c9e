"""A server that says again what it is told, for all the tests of a file."""

from collections.abc import Iterator

import pytest

from demiurgic.providers.scripted import Script, Scripted
from demiurgic.serve.server import serving


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serving({"echo": Scripted(Script())}) as address:
        yield address
