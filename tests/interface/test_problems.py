import importlib
import pkgutil
from collections.abc import Iterator

import application
import domain
import interface
from domain.errors import ChatError, Flaw, InvalidInput
from interface.problems import STATUS, problem, problem_of
from tests.interface.clients import problem_keys


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
