"""What the pages use of others is what others published."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

INTERFACE: Final = Path(__file__).parents[2] / "interface"
VENDORS: Final = (INTERFACE / "page" / "vendor", INTERFACE / "docs_page" / "vendor")


def sums(vendor: Path) -> Mapping[str, str]:
    """By the path, as the README has them."""
    readme = (vendor / "README.md").read_text(encoding="utf-8")
    lines = re.findall(r"^([0-9a-f]{64})  (\S+)$", readme, re.MULTILINE)
    return {path: checksum for checksum, path in lines}


@pytest.mark.parametrize(
    ("vendor", "path"), [(vendor, path) for vendor in VENDORS for path in sorted(sums(vendor))]
)
def test_a_vendored_file_is_the_published_one(vendor: Path, path: str) -> None:
    assert hashlib.sha256((vendor / path).read_bytes()).hexdigest() == sums(vendor)[path]


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.parent.name)
def test_every_vendored_file_has_its_checksum_version_and_licence(vendor: Path) -> None:
    readme = (vendor / "README.md").read_text(encoding="utf-8")
    loaded = {
        path.relative_to(vendor).as_posix()
        for path in vendor.rglob("*")
        if path.suffix in (".js", ".mjs", ".css")
    }
    assert loaded == set(sums(vendor))
    for path in loaded:
        assert f"| `{path}` |" in readme
        assert list((vendor / path).parent.glob("LICENSE*")), f"{path} has no licence"
