import pytest

from demiurgic.core.errors import UserError
from demiurgic.core.optional import EXTRA_OF, installed, require, version_of


def test_a_missing_package_is_answered_with_the_line_that_installs_it(monkeypatch):
    monkeypatch.setitem(EXTRA_OF, "no_such_package", "train")
    with pytest.raises(UserError, match=r'Install it with: pip install "demiurgic\[train\]"'):
        require("json", "no_such_package")


def test_what_is_there_is_found_without_importing_it():
    assert installed("json")
    require("json", "csv")


def test_a_version_is_found_by_import_name_where_the_package_has_another(tmp_path, monkeypatch):
    (tmp_path / "odd_import").mkdir()
    (tmp_path / "odd_import" / "__init__.py").touch()
    (tmp_path / "odd_package-1.2.dist-info").mkdir()
    (tmp_path / "odd_package-1.2.dist-info" / "METADATA").write_text("Name: odd-package\nVersion: 1.2\n")
    (tmp_path / "odd_package-1.2.dist-info" / "top_level.txt").write_text("odd_import\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert version_of("odd_import") == version_of("odd_package") == "1.2"
    assert version_of("no_such_package") is None
