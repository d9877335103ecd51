"""What the documents say, held against the product: settings, commands, addresses and files."""

import re
from collections.abc import Mapping
from typing import Any, Final

import pytest
from pydantic import SecretStr

from settings import Settings
from tests.end_to_end.processes import ROOT

EMPTY: Final = "—"
CONFIGURATION: Final = ROOT / "docs" / "configuration.md"


def shown(default: Any) -> str:
    """As a person writes it into `.env`."""
    value = default.get_secret_value() if isinstance(default, SecretStr) else default
    if value is None or value == "":
        return EMPTY
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


DEFAULTS: Final[Mapping[str, str]] = {
    name.upper(): shown(field.default) for name, field in Settings.model_fields.items()
}


def rows(text: str) -> list[list[str]]:
    """Of all its tables: the cells, without backticks."""
    lines = re.findall(r"^\|(.*)\|$", text, re.MULTILINE)
    return [[cell.replace("`", "").strip() for cell in line.split("|")] for line in lines]


def test_the_configuration_lists_each_setting_once_with_its_default() -> None:
    said = [row[:2] for row in rows(CONFIGURATION.read_text()) if row[0].isupper()]
    assert dict(said) == DEFAULTS  # type: ignore[arg-type]
    assert len(said) == len(DEFAULTS)


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_what_a_readme_says_of_settings_agrees(name: str) -> None:
    """It has some of them; several that belong together may share a row, whose defaults are then
    given in the same order. What is said of a default in words is not compared."""
    text = (ROOT / name).read_text()
    compared = set()
    for names, said, *_ in rows(text):
        if not re.fullmatch(r"[A-Z_]+([,、] ?[A-Z_]+)*", names):
            continue
        named, defaults = re.split("[,、] ?", names), re.split("[,、] ?", said)
        assert set(named) <= DEFAULTS.keys()
        if re.fullmatch(r"[\w./:-]+", "".join(defaults), re.ASCII) and defaults != ["empty"]:
            assert defaults == [DEFAULTS[each] for each in named]
            compared.update(named)
    assert compared >= {"HOST", "PORT", "WORKER_CONCURRENCY", "CONTEXT_TOKENS", "QUEUE_LIMIT"}
    assert "(docs/configuration.md)" in text
