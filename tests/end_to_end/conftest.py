from pathlib import Path

import pytest

from tests.end_to_end.kept import Kept


@pytest.fixture(params=["sqlite", "postgres"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Kept:
    """The same product over each database; several processes may share it."""
    if request.param == "sqlite":
        return Kept(tmp_path / "data" / "chat.db")
    return Kept(request.getfixturevalue("postgres_url"))
