import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import application
import domain
import interface
from domain.errors import ChatError, Flaw, InvalidInput
from interface.problems import STATUS, problem, problem_of
from tests.interface.clients import problem_keys

ERRORS_PAGE: Final = Path(__file__).parents[2] / "docs" / "errors.md"


def kinds_of(error: type[ChatError]) -> Iterator[type[ChatError]]:
    yield error
    for kind in error.__subclasses__():
        yield from kinds_of(kind)


def test_every_error_has_a_status_of_its_own() -> None:
    for layer in (domain, application, interface):
        for module in pkgutil.walk_packages(layer.__path__, f"{layer.__name__}."):
            importlib.import_module(module.name)
    codes = {kind.code for kind in kinds_of(ChatError)}
    assert len(codes) > 10
    assert codes <= STATUS.keys()


def test_every_code_is_explained_with_its_status() -> None:
    explained: dict[str, str] = {}
    for line in ERRORS_PAGE.read_text().splitlines():
        if line.startswith("| `"):
            _, codes, status, *_ = (part.strip() for part in line.split("|"))
            explained |= dict.fromkeys(re.findall(r"`([a-z_]+)`", codes), status)
    assert explained == {code: str(status.value) for code, status in STATUS.items()}


def test_every_status_says_that_something_is_wrong() -> None:
    assert all(400 <= status <= 599 for status in STATUS.values())


def test_a_problem_says_what_is_wrong_and_where() -> None:
    error = InvalidInput(Flaw("/message", "It is empty."), Flaw("/persona", "It is too long."))
    assert problem_of(error, "/ws", "request-1") == {
        "type": "urn:llm-chat:problem:invalid_request",
        "title": "Invalid request",
        "status": 422,
        "detail": "It is empty.; It is too long.",
        "instance": "/ws",
        "code": "invalid_request",
        "request_id": "request-1",
        "errors": [
            {"pointer": "/message", "message": "It is empty."},
            {"pointer": "/persona", "message": "It is too long."},
        ],
    }


def test_a_problem_without_flaws_lists_none() -> None:
    shown = problem("session_busy", "Later.", instance=None, request_id=None)
    assert shown.keys() == problem_keys()
    assert shown["status"] == 409


def test_a_code_that_nobody_knows_is_a_fault_of_ours() -> None:
    assert problem("unheard_of", "Oh.", instance=None, request_id=None)["status"] == 500
