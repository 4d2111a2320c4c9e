import pytest

from demiurgic.core.errors import UserError
from demiurgic.core.optional import EXTRA_OF, installed, require


def test_a_missing_package_is_answered_with_the_line_that_installs_it(monkeypatch):
    monkeypatch.setitem(EXTRA_OF, "no_such_package", "train")
    with pytest.raises(UserError, match=r'Install it with: pip install "demiurgic\[train\]"'):
        require("json", "no_such_package")


def test_what_is_there_is_found_without_importing_it():
    assert installed("json")
    require("json", "csv")
