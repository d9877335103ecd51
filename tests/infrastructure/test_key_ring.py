import base64
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.api_config import ApiConfig
from domain.errors import KeyUnreadable
from domain.identifiers import ApiId, UserId
from domain.secret import Secret
from infrastructure.key_ring import BadEncryptionKeys, KeyRing, parse_keys
from tests.builders import API, API_KEY, USER, an_api

OLD, NEW = bytes(range(32)), bytes(range(1, 33))


def sealed(ring: KeyRing, text: str = API_KEY) -> ApiConfig:
    return an_api(ring.seal(Secret(text), USER, API))


def refused(ring: KeyRing, config: ApiConfig) -> bool:
    try:
        ring.open(config)
    except KeyUnreadable as error:
        return API_KEY not in str(error)
    return False


def encoded(key: bytes) -> str:
    return base64.b64encode(key).decode()


# Sealing and opening


@given(st.text(st.characters(codec="utf-8"), max_size=600))
def test_what_was_sealed_can_be_opened(text: str) -> None:
    ring = KeyRing([OLD])
    assert ring.open(sealed(ring, text)) == Secret(text)


def test_a_configuration_without_a_key_opens_to_none() -> None:
    assert KeyRing([OLD]).open(an_api(sealed_key=None)) is None


def test_no_two_seals_are_alike_and_none_shows_the_key() -> None:
    ring = KeyRing([OLD])
    seals = {ring.seal(Secret(API_KEY), USER, API) for _ in range(100)}
    assert len(seals) == 100
    assert len({seal[5:17] for seal in seals}) == 100
    assert not any(API_KEY.encode() in seal for seal in seals)


def test_a_ring_shows_none_of_its_keys() -> None:
    assert repr(OLD)[2:20] not in repr(KeyRing([OLD]))
    assert OLD.hex() not in repr(KeyRing([OLD]))


def test_the_first_key_seals_and_every_key_opens() -> None:
    before, both, after = KeyRing([OLD]), KeyRing([NEW, OLD]), KeyRing([NEW])
    assert both.open(sealed(before)) == Secret(API_KEY)
    assert after.open(sealed(both)) == Secret(API_KEY)
    assert refused(before, sealed(both))
    assert refused(after, sealed(before))


def test_a_seal_holds_for_its_user_and_its_row_only() -> None:
    ring = KeyRing([OLD])
    config = sealed(ring)
    assert refused(ring, replace(config, owner=UserId(USER + 1)))
    assert refused(ring, replace(config, id=ApiId(API + 1)))
    assert refused(ring, replace(config, owner=UserId(API), id=ApiId(USER)))


def test_a_seal_in_which_any_bit_is_changed_is_refused() -> None:
    ring = KeyRing([OLD, NEW])
    config = sealed(ring, "sk")
    assert config.sealed_key is not None
    for place in range(len(config.sealed_key)):
        for bit in range(8):
            tampered = bytearray(config.sealed_key)
            tampered[place] ^= 1 << bit
            assert refused(ring, replace(config, sealed_key=bytes(tampered))), (place, bit)


def test_a_seal_that_names_another_key_of_the_ring_is_refused() -> None:
    ring = KeyRing([OLD, NEW])
    config, other = sealed(ring), sealed(KeyRing([NEW]))
    assert config.sealed_key is not None
    assert other.sealed_key is not None
    relabelled = other.sealed_key[:5] + config.sealed_key[5:]
    assert refused(ring, replace(config, sealed_key=relabelled))


def test_a_seal_that_is_cut_or_lengthened_is_refused() -> None:
    ring = KeyRing([OLD])
    config = sealed(ring)
    assert config.sealed_key is not None
    for length in range(len(config.sealed_key)):
        assert refused(ring, replace(config, sealed_key=config.sealed_key[:length])), length
    assert refused(ring, replace(config, sealed_key=config.sealed_key + b"\x00"))


# Reading keys


@pytest.mark.parametrize(
    "text",
    [
        encoded(OLD),
        encoded(OLD).rstrip("="),
        base64.urlsafe_b64encode(OLD).decode(),
        base64.urlsafe_b64encode(OLD).decode().rstrip("="),
        f" {encoded(OLD)}\n",
    ],
)
def test_a_key_is_read_in_each_way_of_writing_base64(text: str) -> None:
    assert parse_keys(text, "HERE") == [OLD]


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=4), st.booleans())
def test_any_keys_are_read_in_their_order(keys: list[bytes], url_safe: bool) -> None:
    encode = base64.urlsafe_b64encode if url_safe else base64.b64encode
    assert parse_keys(",".join(encode(key).decode() for key in keys), "HERE") == keys


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("", 1),
        ("changeme-secret", 1),
        (encoded(OLD[:31]), 1),
        (encoded(OLD + b"x"), 1),
        (f"{encoded(OLD)},", 2),
        (f"{encoded(OLD)},,{encoded(NEW)}", 2),
        (f"{encoded(OLD)},{encoded(NEW[:16])}", 2),
        (f"{encoded(OLD)};{encoded(NEW)}", 1),
        (f"{encoded(OLD)} {encoded(NEW)}", 1),
        (OLD.hex(), 1),
        ("é" * 43, 1),
        ("!" * 43, 1),
        ("a" * 41, 1),
    ],
)
def test_a_key_that_is_none_is_told_by_its_place_and_not_repeated(text: str, number: int) -> None:
    with pytest.raises(BadEncryptionKeys) as bad:
        parse_keys(text, "HERE")
    assert str(bad.value) == f"HERE: key {number} is not 32 bytes in base64"
    assert bad.value.__cause__ is None
