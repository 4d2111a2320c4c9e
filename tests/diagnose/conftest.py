"""One store of real trainings for the whole room: healthy ones, and each of the sick ones."""

from pathlib import Path

import pytest

import sick
import taught
from demiurgic.core.errors import UserError


@pytest.fixture(scope="session")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recipe's file; everything it makes is in `store` beside it, and `burst` has failed there."""
    recipe = taught.write_recipe(tmp_path_factory.mktemp("clinic"), sick.MORE + sick.BROKEN)
    with pytest.raises(UserError, match="At step 2"):
        taught.run(recipe)
    return recipe
