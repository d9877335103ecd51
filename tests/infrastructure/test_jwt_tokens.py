import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.access import Caller, Refresh
from domain.errors import InvalidToken
from domain.identifiers import SignInId, UserId
from domain.secret import Secret
from infrastructure.jwt_tokens import LEEWAY_SECONDS, REFRESH_SECONDS, JwtTokens
from tests.builders import SECRET_KEY

NOW = 1_795_000_000
CALLER = Caller(UserId(7), SignInId("signin_1"))
REFRESH = Refresh(UserId(7), SignInId("signin_1"), 3)


class Clock:
    now = float(NOW)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(clock: Clock) -> JwtTokens:
    return JwtTokens(SECRET_KEY, 900, now=clock)


def part(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


def opened(token: Secret, index: int = 1) -> dict[str, Any]:
    text = token.reveal().split(".")[index]
    content: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return content


def signed(
    claims: object,
    header: object = None,
    key: bytes = SECRET_KEY.reveal().encode(),
    digest: str = "sha256",
) -> Secret:
    """Made by hand, so that everything can be wrong with it."""
    what = f"{part(header or {'alg': 'HS256', 'typ': 'JWT'})}.{part(claims)}"
    signature = hmac.new(key, what.encode(), getattr(hashlib, digest)).digest()
    return Secret(f"{what}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}")


ACCESS = {
    "iss": "llm-chat",
    "aud": "llm-chat:access",
    "sub": "7",
    "sid": "signin_1",
    "iat": NOW,
    "exp": NOW + 900,
}


def assert_refused(tokens: JwtTokens, token: Secret) -> None:
    with pytest.raises(InvalidToken) as refused:
        tokens.read_access(token)
    assert refused.value.__cause__ is None
    with pytest.raises(InvalidToken):
        tokens.read_refresh(token)


def test_a_token_tells_what_was_put_in_also_to_another_process(
    tokens: JwtTokens, clock: Clock
) -> None:
    other = JwtTokens(SECRET_KEY, 60, now=clock)
    assert other.read_access(tokens.access(CALLER)) == CALLER
    assert other.read_refresh(tokens.refresh(REFRESH)) == REFRESH


def test_a_token_says_who_for_whom_by_whom_and_how_long(tokens: JwtTokens) -> None:
    assert opened(tokens.access(CALLER)) == ACCESS
    assert opened(tokens.refresh(REFRESH)) == {
        **ACCESS,
        "aud": "llm-chat:refresh",
        "n": 3,
        "exp": NOW + REFRESH_SECONDS,
    }
    assert opened(tokens.access(CALLER), 0) == {"alg": "HS256", "typ": "JWT"}
    assert (tokens.access_seconds, tokens.refresh_seconds) == (900, 30 * 24 * 3600)


def test_a_token_made_by_the_rules_is_taken(tokens: JwtTokens) -> None:
    """Else the refusals below would show nothing."""
    assert tokens.read_access(signed(ACCESS)) == CALLER


def test_a_token_holds_for_its_time(tokens: JwtTokens, clock: Clock) -> None:
    access, refresh = tokens.access(CALLER), tokens.refresh(REFRESH)
    clock.now = NOW + 900 + LEEWAY_SECONDS - 1
    assert tokens.read_access(access) == CALLER
    clock.now = NOW + 900 + LEEWAY_SECONDS
    assert_refused(tokens, access)
    assert tokens.read_refresh(refresh) == REFRESH
    clock.now = NOW + REFRESH_SECONDS + LEEWAY_SECONDS
    assert_refused(tokens, refresh)


def test_clocks_of_two_processes_may_differ_a_little(tokens: JwtTokens, clock: Clock) -> None:
    token = tokens.access(CALLER)
    clock.now = NOW - LEEWAY_SECONDS
    assert tokens.read_access(token) == CALLER
    clock.now = NOW - LEEWAY_SECONDS - 1
    assert_refused(tokens, token)


def test_a_token_of_one_kind_is_none_of_the_other(tokens: JwtTokens) -> None:
    with pytest.raises(InvalidToken):
        tokens.read_access(tokens.refresh(REFRESH))
    with pytest.raises(InvalidToken):
        tokens.read_refresh(tokens.access(CALLER))
    with pytest.raises(InvalidToken):
        tokens.read_access(signed({**ACCESS, "aud": "llm-chat:refresh", "n": 0}))


@pytest.mark.parametrize("missing", list(ACCESS))
def test_no_claim_may_be_missing(tokens: JwtTokens, missing: str) -> None:
    assert_refused(tokens, signed({name: ACCESS[name] for name in ACCESS if name != missing}))
    assert_refused(tokens, signed({**ACCESS, missing: None}))
    assert_refused(tokens, signed({**ACCESS, missing: ""}))


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "another"},
        {"aud": "another"},
        {"aud": []},
        {"sub": 7},
        {"sub": "-7"},
        {"sub": "07"},
        {"sub": "\u0667"},
        {"sub": "9" * 19},
        {"sub": "9" * 500},
        {"sub": "ada"},
        {"sid": 1},
        {"sid": ["signin_1"]},
        {"sid": "s" * 51},
        {"sid": "nul\x00"},
        {"exp": str(NOW + 900)},
        {"exp": True},
        {"exp": float("nan")},
        {"iat": NOW + 900},
        {"nbf": NOW + 900},
    ],
)
def test_no_claim_may_be_of_another_kind(tokens: JwtTokens, claims: dict[str, object]) -> None:
    assert_refused(tokens, signed({**ACCESS, **claims}))


@pytest.mark.parametrize("rotation", [None, -1, "3", 3.0, True, [3], 2**31 - 1, 2**70])
def test_a_rotation_is_a_whole_number(tokens: JwtTokens, rotation: object) -> None:
    claims = {**ACCESS, "aud": "llm-chat:refresh", "n": rotation}
    assert_refused(tokens, signed(claims))
    assert tokens.read_refresh(signed({**claims, "n": 3})) == REFRESH


def test_another_key_is_refused(tokens: JwtTokens) -> None:
    assert_refused(tokens, signed(ACCESS, key=b"another secret that somebody made up"))
    assert_refused(tokens, signed(ACCESS, key=b""))


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "", "HS256 "])
def test_no_token_says_that_it_needs_no_signature(tokens: JwtTokens, algorithm: str) -> None:
    for token in (signed(ACCESS, {"alg": algorithm}), signed(ACCESS, {"typ": "JWT"})):
        assert_refused(tokens, token)
        assert_refused(tokens, Secret(token.reveal().rpartition(".")[0] + "."))


@pytest.mark.parametrize(("algorithm", "digest"), [("HS512", "sha512"), ("HS384", "sha384")])
def test_no_token_chooses_its_algorithm(tokens: JwtTokens, algorithm: str, digest: str) -> None:
    assert_refused(tokens, signed(ACCESS, {"alg": algorithm}, digest=digest))


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA", "PS256", "dir", "HS999"])
def test_no_algorithm_but_ours_is_tried(tokens: JwtTokens, algorithm: str) -> None:
    assert_refused(tokens, signed(ACCESS, {"alg": algorithm}))


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "HS256", "crit": ["exp"], "exp": 1},
        {"alg": "HS256", "b64": False, "crit": ["b64"]},
        {"alg": ["HS256"]},
        {"alg": {"alg": "HS256"}},
        ["alg", "HS256"],
        "HS256",
        7,
    ],
)
def test_no_header_makes_it_read_otherwise(tokens: JwtTokens, header: object) -> None:
    assert_refused(tokens, signed(ACCESS, header))


def test_a_key_that_a_token_brings_along_opens_nothing(tokens: JwtTokens) -> None:
    key = b"a key that somebody else has made up"
    jwk = {"kty": "oct", "k": base64.urlsafe_b64encode(key).decode()}
    assert_refused(tokens, signed(ACCESS, {"alg": "HS256", "jwk": jwk}, key))
    assert_refused(tokens, signed(ACCESS, {"alg": "HS256", "kid": "../../dev/null"}, b""))


def test_no_bit_may_be_another(tokens: JwtTokens) -> None:
    token = tokens.access(CALLER).reveal()
    for index in range(len(token) - 1):  # the last character has bits of no meaning
        other = token[:index] + ("A" if token[index] != "A" else "B") + token[index + 1 :]
        assert_refused(tokens, Secret(other))


@pytest.mark.parametrize("claims", [[], "text", 7, None, [ACCESS], "\ud800"])
def test_what_is_no_object_is_no_token(tokens: JwtTokens, claims: object) -> None:
    assert_refused(tokens, signed(claims))


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        "....",
        "nul\x00",
        "\u00e9.\u00e9.\u00e9",
        "\ud800",
        "a" * 3_000,
        "a" * 10_000_000,
        "." * 1_900,
        f"{part([[]])}.{part({})}.",
        base64.urlsafe_b64encode(b"[" * 1_400).decode() + ".e30.",
        f"{part({'alg': 'HS256'})}.{part(ACCESS)}",
        f"{part({'alg': 'HS256'})}.{part(ACCESS)}.x.y.z",
    ],
)
def test_garbage_is_no_token(tokens: JwtTokens, text: str) -> None:
    assert_refused(tokens, Secret(text))


@given(st.text(max_size=300))
def test_no_text_is_a_token_or_a_fault(text: str) -> None:
    assert_refused(JwtTokens(SECRET_KEY, 900), Secret(text))


@given(st.binary(max_size=90), st.binary(max_size=90), st.binary(max_size=40))
def test_nothing_in_three_parts_is_a_token_or_a_fault(
    header: bytes, claims: bytes, signature: bytes
) -> None:
    parts = [base64.urlsafe_b64encode(each).decode() for each in (header, claims, signature)]
    assert_refused(JwtTokens(SECRET_KEY, 900), Secret(".".join(parts)))


def test_the_longest_token_of_ours_is_read(clock: Clock) -> None:
    tokens = JwtTokens(SECRET_KEY, 900, now=clock)
    longest = Refresh(UserId(2**63 - 1), SignInId("s" * 50), 2**31 - 2)
    assert tokens.read_refresh(tokens.refresh(longest)) == longest
