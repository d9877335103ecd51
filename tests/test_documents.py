"""What the documents say, held against the product: settings, commands, addresses and links. That
README's commands also do what it says is tried in tests/end_to_end/test_readme.py, and what it says
of others' clients in tests/clients/test_readme.py."""

import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr
from starlette.routing import Match

import main
from settings import Settings
from tests.end_to_end.processes import ROOT
from tests.interface.doors import Doors
from tests.readme import commands_of

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
    assert [name for name, _ in said] == list(dict.fromkeys(name for name, _ in said))
    assert {row[0]: row[1] for row in said} == DEFAULTS


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


DOCUMENTS: Final = sorted(
    path for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")) if path.name != "CHANGELOG.md"
)
TARGETS: Final = set(re.findall(r"^([\w./-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
NOT_OURS: Final = {
    "AUTHORIZATION", "COMPOSE_FILE", "COMPOSE_PROFILES", "FAULTS", "FAULT_SEEDS", "HTTP_ADDRESS",
    "HTTP_PORT", "PYTHON", "REQUIREMENTS", "TEST_BROWSER", "TEST_NODE_MODULES", "TOKEN",
}  # fmt: skip
"""Names that are set in commands and are no settings."""
HOSTS: Final = {f"127.0.0.1:{port}" for port in (8080, 8081, 8082, 9101)}
"""Where the servers are that the documents speak of."""
OTHERS: Final = {"127.0.0.1:9090"}
"""And Prometheus."""

every_document = pytest.mark.parametrize(
    "path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT))
)


def test_there_are_commands_to_look_at() -> None:
    said = [command for path in DOCUMENTS for command in commands_of(path)]
    assert len(said) > 60
    assert {command.split()[0] for command in said} >= {"make", "curl", "npx", "docker"}


@every_document
def test_each_command_is_one_of_a_shell(path: Path) -> None:
    said = "\n".join(commands_of(path))
    checked = subprocess.run(
        ["bash", "-n"], input=said, text=True, capture_output=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")


@every_document
def test_each_command_names_what_there_is(path: Path) -> None:
    for command in commands_of(path):
        words = shlex.split(command, comments=True)
        given = [word.partition("=")[0] for word in words if re.match(r"[A-Z_]+=", word)]
        assert set(given) <= DEFAULTS.keys() | NOT_OURS, command
        words = [word for word in words if not re.match(r"([A-Z_]+=|export$)", word)]
        match words:
            case ["make", *targets]:
                assert set(targets) <= TARGETS, command
            case [".venv/bin/python" | "python" | "python3", "main.py", name, *options]:
                assert name in main.COMMANDS, command
                assert {option for option in options if option.startswith("-")} <= {
                    "--host", "--port",
                }, command  # fmt: skip
            case [".venv/bin/python" | "python" | "python3", "-m", module, *_]:
                assert find_spec(module), command
            case ["curl", *arguments]:
                assert_there_is(arguments, command)
            case ["npx", "wscat", *arguments]:
                assert_there_is(arguments, command)


def assert_there_is(arguments: Sequence[str], command: str) -> None:
    """A door for what is asked here by that method."""
    method = "POST" if {"-d", "-F"} & {*arguments} else "GET"
    for before, after in pairwise(arguments):
        if before == "-X":
            method = after
    asked = [urlsplit(each) for each in arguments if re.match(r"(http|ws)://", each)]
    assert asked, command
    for url in asked:
        if url.netloc in OTHERS:
            continue
        assert url.netloc in HOSTS, command
        scope: dict[str, Any] = {
            "type": "websocket" if url.scheme == "ws" else "http",
            "path": re.sub("/(ID)(?=/|$)", "/1", url.path),
            "method": method,
            "headers": [],
            "root_path": "",
        }
        matches = [route.matches(scope)[0] for route in Doors().routes]
        assert Match.FULL in matches, command


def links(path: Path) -> Iterator[tuple[str, str]]:
    """Targets that are no addresses, and what is linked in them."""
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" not in target:
            name, _, place = target.partition("#")
            yield name, place


def places(path: Path) -> set[str]:
    """Its headings, as they are linked to."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each).lower().strip().replace(" ", "-") for each in headings}


@every_document
def test_each_link_leads_to_something(path: Path) -> None:
    for name, place in links(path):
        target = path.parent / name if name else path
        assert target.exists(), name
        if place and target.suffix == ".md":
            assert place in places(target), f"{name}#{place}"
