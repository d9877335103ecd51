from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.base_url import MAX_BASE_URL_CHARACTERS, clean_base_url


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("https://api.example.com/v1", "https://api.example.com/v1"),
        (" https://api.example.com/v1// \n", "https://api.example.com/v1"),
        ("HTTPS://API.Example.com/V1", "https://api.example.com/V1"),
        ("http://localhost:11434/v1", "http://localhost:11434/v1"),
        ("http://127.0.0.1", "http://127.0.0.1"),
        ("http://[::1]:8000/", "http://[::1]:8000"),
        ("http://[FE80::1]/v1", "http://[fe80::1]/v1"),
        ("http://ollama_1:65535/@model/%7Ea", "http://ollama_1:65535/@model/%7Ea"),
        ("https://xn--bcher-kva.example./v1", "https://xn--bcher-kva.example./v1"),
    ],
)
def test_equal_addresses_are_made_equal(text: str, clean: str) -> None:
    assert clean_base_url(text) == clean
    assert clean_base_url(clean) == clean


@pytest.mark.parametrize(
    "text",
    [
        "",
        "api.example.com/v1",
        "//api.example.com",
        "ftp://api.example.com",
        "file:///etc/passwd",
        "javascript://x",
        "https:/api.example.com",
        "https://",
        "https:///v1",
        "https://:443/v1",
        "https://ada:secret@api.example.com",
        "https://secret@api.example.com",
        "https://@api.example.com",
        "https://api.example.com\\@secret",
        "https://api.example.com/v1?key=secret",
        "https://api.example.com?secret",
        "https://api.example.com/v1#secret",
        "https://api.example.com:/v1",
        "https://api.example.com:0/v1",
        "https://api.example.com:0443/v1",
        "https://api.example.com:65536",
        "https://api.example.com:99999999",
        "https://api.example.com:secret",
        "https://api.example.com:٨٠",
        "https://api example.com",
        "https://api.example.com/a b",
        "https://api.example.com/a\nb",
        "https://api.example.com/a\x00",
        "https://api.example.com/a\\b",
        "https://api.example.com/é",
        "https://bücher.example",
        "https://exam\u212ale.com",
        "https://169。254。169。254/",
        "https://a..b",
        "https://.",
        "https://-a.example",
        "https://" + "a" * 64 + ".example",
        "https://[::1",
        "https://[::::]",
        "https://[fe80::1%25eth0]",
        "https://[127.0.0.1]",
        "https://api.example.com/" + "a" * MAX_BASE_URL_CHARACTERS,
    ],
)
def test_whatever_else_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="must") as refused:
        clean_base_url(text)
    assert "secret" not in str(refused.value)


def test_an_address_may_be_as_long_as_the_limit() -> None:
    longest = "https://a/" + "b" * (MAX_BASE_URL_CHARACTERS - len("https://a/"))
    assert clean_base_url(longest) == longest


PARTS = st.sampled_from(
    [
        "http",
        "HTTPS",
        "://",
        "//",
        "/",
        "[::1]",
        "a.b",
        "127.0.0.1",
        ":80",
        "@",
        "?",
        "#",
        "\\",
        "%",
    ]
)


@given(st.lists(PARTS | st.text(max_size=3), max_size=8).map("".join))
def test_what_is_taken_is_read_alike_by_others(text: str) -> None:
    try:
        clean = clean_base_url(text)
    except ValueError:
        return
    parts = urlsplit(clean)
    assert parts.scheme in ("http", "https")
    assert parts.hostname
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    assert parts.netloc in (host, f"{host}:{parts.port}")
    assert (parts.username, parts.password, parts.query, parts.fragment) == (None, None, "", "")
    assert not clean.endswith("/")
    assert clean_base_url(clean) == clean
