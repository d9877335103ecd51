"""What the page uses of others is what others published."""

import hashlib
import re
from pathlib import Path
from typing import Final

import pytest

VENDOR: Final = Path(__file__).parents[2] / "interface" / "page" / "vendor"
README: Final = (VENDOR / "README.md").read_text(encoding="utf-8")
_LINES: Final = re.findall(r"^([0-9a-f]{64})  (\S+)$", README, re.MULTILINE)
SUMS: Final = {path: checksum for checksum, path in _LINES}


@pytest.mark.parametrize("path", sorted(SUMS))
def test_a_vendored_file_is_the_published_one(path: str) -> None:
    assert hashlib.sha256((VENDOR / path).read_bytes()).hexdigest() == SUMS[path]


def test_every_vendored_script_has_its_checksum_version_and_licence() -> None:
    scripts = {path.relative_to(VENDOR).as_posix() for path in VENDOR.rglob("*.*js")}
    assert scripts == set(SUMS)
    for script in scripts:
        assert f"| `{script}` |" in README
        assert list((VENDOR / script).parent.glob("LICENSE*")), f"{script} has no licence"
