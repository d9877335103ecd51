import copy
import traceback

import pytest

from domain.secret import Secret
from tests.builders import API_KEY, a_new_api


def test_only_reveal_tells_a_secret() -> None:
    secret = Secret(API_KEY)
    assert secret.reveal() == API_KEY
    for shown in (repr(secret), str(secret), f"{secret}", f"{[secret]}", repr(a_new_api())):
        assert API_KEY[-4:] not in shown
    try:
        raise ValueError(secret)
    except ValueError:
        assert API_KEY[-4:] not in traceback.format_exc()


@pytest.mark.parametrize(
    ("text", "hint"), [("sk-12345", "2345"), ("12345", "2345"), ("1234", ""), ("", "")]
)
def test_a_hint_is_the_last_four_characters_but_never_all(text: str, hint: str) -> None:
    assert Secret(text).hint == hint


def test_equal_secrets_are_equal() -> None:
    assert copy.deepcopy(Secret("a")) == Secret("a") != Secret("b")


def test_equal_secrets_have_one_digest_which_tells_nothing_of_them() -> None:
    assert Secret(API_KEY).digest == Secret(API_KEY).digest
    assert len(Secret(API_KEY).digest) == 64
    assert Secret(API_KEY).digest != Secret(API_KEY + "x").digest
    assert API_KEY[3:8] not in Secret(API_KEY).digest
    assert Secret("\ud800").digest  # which is no text, but may be sent as a ticket
