import pytest

from domain.errors import InvalidInput
from domain.secret import Secret
from domain.user import (
    LOCAL_USERNAME,
    USERNAME_CHARACTERS,
    Credentials,
    clean_credentials,
    clean_name,
    guest_username,
)

GOOD = Secret("correct horse")


def pointers(username: str, password: str) -> list[str]:
    with pytest.raises(InvalidInput) as refused:
        clean_credentials(username, Secret(password))
    for flaw in refused.value.flaws:
        assert not password or password not in flaw.message
    return [flaw.pointer for flaw in refused.value.flaws]


@pytest.mark.parametrize(
    "username", ["ada", "a" * 50, "Zoë", "李小龙", "a.b-c_d@example.com", "🐙🐙🐙", "<b>", "'--"]
)
def test_a_name_is_3_to_50_visible_characters(username: str) -> None:
    assert clean_credentials(username, GOOD).username == username


@pytest.mark.parametrize(
    "username",
    [
        "",
        "ab",
        "a" * 51,
        "a" * 1_000_000,
        "a b",
        " ada",
        "ada\t",
        "a\u00a0b",
        "a\u2003b",
        "a\u3000b",
        "ada\n",
        "nul\x00",
        "a\u200bb",
        "a\u202eb",
        "a\ufeffb",
        "a\ue000b",
        "\ud800\ud800\ud800",
    ],
)
def test_another_name_is_refused(username: str) -> None:
    assert pointers(username, "correct horse") == ["/username"]


@pytest.mark.parametrize("password", ["8 signs!", "p" * 128, "        ", "påsswörd", "nul\x00byte"])
def test_a_password_is_8_to_128_characters_of_any_kind(password: str) -> None:
    assert clean_credentials("ada", Secret(password)).password.reveal()


@pytest.mark.parametrize("password", ["", "7 signs", "p" * 129, "p" * 1_000_000, "\ud800" * 8])
def test_another_password_is_refused(password: str) -> None:
    assert pointers("ada", password) == ["/password"]


def test_both_are_told_at_once() -> None:
    assert pointers("a", "short") == ["/username", "/password"]


def test_the_same_letters_are_the_same_however_they_were_typed() -> None:
    composed = clean_credentials("Zo\u00eb", Secret("p\u00e5ssw\u00f6rd"))
    typed = clean_credentials("Zoe\u0308", Secret("pa\u030asswo\u0308rd"))
    assert composed == typed == Credentials("Zo\u00eb", Secret("p\u00e5ssw\u00f6rd"))


def test_the_length_is_of_what_is_kept() -> None:
    assert pointers("e\u0308e\u0308", "e\u0308" * 7) == ["/username", "/password"]
    kept = clean_credentials("e\u0308" * 50, Secret("e\u0308" * 128))
    assert (len(kept.username), len(kept.password.reveal())) == (50, 128)
    lengthened = "\ufb2c" * 17  # each of which is three in NFC
    assert pointers(lengthened, "\ufb2c" * 43) == ["/username", "/password"]
    longest_form = "\u03b1\u0313\u0300\u0345"  # four that are one in NFC
    kept = clean_credentials(longest_form * 50, Secret(longest_form * 128))
    assert (len(kept.username), len(kept.password.reveal())) == (50, 128)


def test_a_text_that_would_take_minutes_to_normalize_is_refused_without() -> None:
    endless = "e" + "\u0301\u0327" * 500_000  # marks that change places, as bubbles do
    assert pointers(endless, endless) == ["/username", "/password"]


def test_credentials_do_not_show_the_password() -> None:
    assert "horse" not in repr(clean_credentials("ada", GOOD))


@pytest.mark.parametrize("name", ["a", "a" * 44, "Ada L", "李", "guest a", LOCAL_USERNAME, "a.b@c"])
def test_a_guest_has_a_username_that_nobody_can_register(name: str) -> None:
    username = guest_username(name)
    assert len(username) < USERNAME_CHARACTERS.stop
    assert username != LOCAL_USERNAME
    assert pointers(username, "correct horse") == ["/username"]


def test_each_guest_has_a_username_of_their_own() -> None:
    names = ["a", "A", "a b", "guest a", "guest guest a", "e\u0308"]
    assert len({guest_username(name) for name in names}) == len(names)
    assert guest_username("e\u0308") == guest_username("\u00eb")


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        " a",
        "a ",
        "a\tb",
        "a\n",
        "nul\x00",
        "a\u00a0b",
        "a\u202eb",
        "\ud800",
        "a" * 1_000_000,
    ],
)
def test_what_is_no_name_is_refused_without_repeating_it(name: str) -> None:
    for clean in (clean_name, guest_username):
        with pytest.raises(InvalidInput) as refused:
            clean(name)
        (flaw,) = refused.value.flaws
        assert flaw.pointer == "/user_id"
        assert len(flaw.message) < 200


def test_an_account_may_be_named_in_full_though_no_guest_is_called_so() -> None:
    assert clean_name("a" * 50) == "a" * 50
    with pytest.raises(InvalidInput):
        guest_username("a" * 45)
    with pytest.raises(InvalidInput):
        clean_name("a" * 51)
