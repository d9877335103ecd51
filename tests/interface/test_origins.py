import pytest
from starlette.requests import Request

from interface.origins import ForeignOrigin, came_by_https, refuse_foreign
from tests.interface.clients import http_scope

Headers = list[tuple[str, str]]


def request(*headers: tuple[str, str], scheme: str = "http") -> Request:
    encoded = [(name.encode(), value.encode()) for name, value in headers]
    return Request({**http_scope("/"), "scheme": scheme, "headers": encoded})


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("chat", "http://chat"),
        ("chat", "https://chat"),
        ("chat:80", "http://chat"),
        ("chat:443", "https://chat"),
        ("Chat.Example:8080", "http://chat.example:8080"),
        ("127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("[::1]:8080", "http://[::1]:8080"),
        ("chat:8443", "https://chat:8443"),
    ],
)
def test_our_own_page_may_ask_whatever_it_was_loaded_by(host: str, origin: str) -> None:
    refuse_foreign(request(("host", host), ("origin", origin)))
    refuse_foreign(request(("host", host), ("origin", origin), ("sec-fetch-site", "same-origin")))


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("chat", "http://evil"),
        ("chat", "http://chat:8081"),
        ("chat", "http://chat.evil"),
        ("chat", "http://evil.chat"),
        ("chat", "http://xchat"),
        ("chat:80", "https://chat"),
        ("chat:8080", "http://chat"),
        ("127.0.0.1:8080", "http://127.0.0.1:3000"),
        ("127.0.0.1:8080", "http://localhost:8080"),
        ("chat", "null"),
        ("chat", ""),
        ("chat", "chat"),
        ("chat", "//chat"),
        ("chat", "file://chat"),
        ("chat", "http://chat/path"),
        ("chat", "http://chat?"),
        ("chat", "http://chat, http://evil"),
        ("chat", "http://[chat"),
        ("chat", "http://chat:port"),
        ("chat", "http://chat:99999"),
        ("chat", "http://chat:0"),
        ("", "http://"),
        ("", "http://chat"),
        ("chat:port", "http://chat"),
    ],
)
def test_a_page_of_another_origin_is_refused(host: str, origin: str) -> None:
    with pytest.raises(ForeignOrigin):
        refuse_foreign(request(("host", host), ("origin", origin)))


def test_without_a_host_of_ours_no_origin_is_our_own() -> None:
    with pytest.raises(ForeignOrigin):
        refuse_foreign(request(("origin", "http://chat")))


def test_who_says_nothing_of_an_origin_is_no_page() -> None:
    refuse_foreign(request(("host", "chat")))
    refuse_foreign(request())


@pytest.mark.parametrize("site", ["cross-site", "same-site", "", "Same-Origin", "unheard-of"])
def test_where_the_browser_says_that_it_is_another_site_it_is(site: str) -> None:
    for more in ([], [("origin", "http://chat")]):
        with pytest.raises(ForeignOrigin):
            refuse_foreign(request(("host", "chat"), ("sec-fetch-site", site), *more))


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_where_the_browser_says_that_it_is_our_own_page_it_is_asked_for_the_origin_too(
    site: str,
) -> None:
    refuse_foreign(request(("host", "chat"), ("sec-fetch-site", site)))
    with pytest.raises(ForeignOrigin):
        refuse_foreign(
            request(("host", "chat"), ("sec-fetch-site", site), ("origin", "http://evil"))
        )


@pytest.mark.parametrize("name", ["origin", "sec-fetch-site"])
def test_of_two_that_are_said_both_must_be_our_own(name: str) -> None:
    good, bad = {"origin": ("http://chat", "http://evil")}.get(name, ("none", "cross-site"))
    refuse_foreign(request(("host", "chat"), (name, good), (name, good)))
    for first, second in ((good, bad), (bad, good)):
        with pytest.raises(ForeignOrigin):
            refuse_foreign(request(("host", "chat"), (name, first), (name, second)))


@pytest.mark.parametrize(
    ("scheme", "headers", "safe"),
    [
        ("https", [], True),
        ("http", [("x-forwarded-proto", "https")], True),
        ("http", [("x-forwarded-proto", "HTTPS, http")], True),
        ("http", [("origin", "https://chat")], True),
        ("http", [], False),
        ("http", [("x-forwarded-proto", "http")], False),
        ("http", [("x-forwarded-proto", "http, https")], False),
        ("http", [("origin", "http://chat")], False),
        ("http", [("origin", "https")], False),
    ],
)
def test_https_is_told_by_the_connection_a_proxy_or_the_browser(
    scheme: str, headers: Headers, safe: bool
) -> None:
    assert came_by_https(request(("host", "chat"), *headers, scheme=scheme)) is safe
