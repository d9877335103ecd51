import random
import string

import pytest

from infrastructure.redaction import CUT, REDACTED, is_secret, shown

KEY = "sk-proj-5e7d1c0a_9b8f-7e6d"
JWT = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxIn0.c2lnbmVkLWJ5LXVz"

TELLING = {
    f"Incorrect API key provided: {KEY}.": "Incorrect API key provided: [redacted].",
    f"({KEY})": "([redacted])",
    "Authorization: Bearer abcdef123": "Authorization: [redacted]",
    "it sent Bearer  abcdef123.x~y+z/==, twice": "it sent [redacted], twice",
    "bearer abcdef123": "[redacted]",
    "authorization: Basic YWRhOmh1bnRlcjI=\r\nhost: x": "authorization: [redacted]\r\nhost: x",
    "authorization=Bearer abc; x=1": "authorization=[redacted]; x=1",
    "{Authorization': Basic YWRh, x}": "{Authorization': [redacted] x}",
    "api-key: abc\nhost: x": "api-key: [redacted]\nhost: x",
    "Cookie: a=b; refresh=c\nAccept: d": "Cookie: [redacted]\nAccept: d",
    f"it is {JWT}, it says": "it is [redacted], it says",
    f"{JWT[:30]}": "[redacted]",
    "redis://:pa55@host:6379/0": "redis://[redacted]@host:6379/0",
    "postgresql://ada:p%40ss@h:5432/d?a=b": "postgresql://[redacted]@h:5432/d?a=b",
    "postgresql://ada:p@ss@h:5432/d": "postgresql://[redacted]@h:5432/d",
    "GET /ws?ticket=abc.def-ghi&x=1": "GET /ws?ticket=[redacted]&x=1",
    "wss://h/ws?x=1&access_token=abc": "wss://h/ws?x=1&access_token=[redacted]",
    "SECRET_KEY=abc": "SECRET_KEY=[redacted]",
    "ENCRYPTION_KEYS=abc=,def=": "ENCRYPTION_KEYS=[redacted]",
    "password='a \\' b' c": "password=[redacted] c",
    '{"password": "a\\"b c", "x": 1}': '{"password": [redacted], "x": 1}',
    "{'api_key': 'abc', 'x': 1}": "{'api_key': [redacted], 'x': 1}",
    '"{\\"refresh_token\\":\\"abc\\",\\"n\\":1}"': '"{\\"refresh_token\\":[redacted],\\"n\\":1}"',
    "[(b'cookie', b'a=b'), (b'x', b'y')]": "[(b'cookie', b[redacted]), (b'x', b'y')]",
    "Settings(token='abc', x=1)": "Settings(token=[redacted], x=1)",
}

HARMLESS = [
    "GET '/sse/session_5e7d1c0a9b8f7e6d' 200 1.2ms request-0001",
    "llm-chat is on http://127.0.0.1:8080 and ws://[::1]:8080/ws",
    "answering gen_5e7d1c0a9b8f7e6d, attempt 1, request my-request-0001",
    "invalid_token: The token is not valid.",
    "a refresh token was used twice: signin_5e7d is ended",
    "prompt_tokens=12 max_tokens=5, tokens: 7",
    "task-management is risk-free",
    "mail ada@example.com, see https://example.com/@ada",
    "/api/user/apis and /api/auth/ws-ticket",
    "token=",
    "password=&x=1",
    "",
]


@pytest.mark.parametrize("text", TELLING)
def test_a_secret_is_not_shown(text: str) -> None:
    assert shown(text, 1_000) == TELLING[text]


@pytest.mark.parametrize("text", HARMLESS)
def test_all_else_is_shown_as_it_is(text: str) -> None:
    assert shown(text, 1_000) == text


@pytest.mark.parametrize("secret", [KEY, JWT, f"Bearer {KEY[3:]}", f"https://ada:{KEY[8:]}@h/"])
def test_a_cut_shows_no_part_of_a_secret(secret: str) -> None:
    """Wherever it falls; also of one that is much longer than what is looked at beyond the cut."""
    parts = ("sk-p", "5e7d", "eyJh", "ada:", "Bearer 5")
    for tail in ("", " and more" * 50, "x" * 500):
        text = "." * 90 + " " + secret.replace("@", f"{tail.replace(' ', '')}@") + tail
        for most in range(80, 140):
            told = shown(text, most)
            assert not [part for part in parts if part in told], told
            assert len(told) <= max(most, len(text)) + len(CUT)
            assert len(told) <= most + len(CUT) or len(text) <= most


def test_what_is_behind_a_cut_does_not_come_into_view_by_what_is_left_out_before() -> None:
    text = f"{'x' * 50} {KEY} " + "Bearer z" + "w" * 100
    for most in range(60, 120):
        assert "ww" not in shown(text, most)


def test_any_mixture_of_beginnings_takes_a_time_by_its_length() -> None:
    """By how much is done, not by the clock: the more of it, the more is left out at most."""
    chance = random.Random(7)
    pieces = [
        "token",
        "=",
        "'",
        '"',
        "\\",
        ":",
        " ",
        "sk-",
        "eyJ",
        "Bearer ",
        "://",
        "@",
        "cookie: ",
    ]
    for _ in range(200):
        text = "".join(chance.choices([*pieces, *string.ascii_letters[:5]], k=300))
        told = shown(text, 10_000)
        assert shown(told, 20_000).count(REDACTED) <= told.count(REDACTED) + 1
    for piece in [*pieces, "token='", "://a:", "token\"'", "'token' , b", "Bearer  ", "a@"]:
        assert shown(piece * (1_000_000 // len(piece)), 2_000).endswith(CUT)


@pytest.mark.parametrize("key", ["path", "request_id", "status", "keyboard", "monkey", "author"])
def test_a_harmless_name_is_no_secret(key: str) -> None:
    assert not is_secret(key)
