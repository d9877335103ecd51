import pytest

from domain.api_config import ApiChanges
from domain.secret import Secret
from tests.builders import an_api

SAME, OTHER = "https://api.example.com/v1", "https://other.example.com/v1"


def test_what_is_not_changed_stays() -> None:
    assert ApiChanges().applied_to(an_api()) == an_api()
    renamed = ApiChanges(name="yours", model_name="gpt-10", provider="other").applied_to(an_api())
    assert (renamed.name, renamed.model_name, renamed.provider) == ("yours", "gpt-10", "other")
    assert (renamed.base_url, renamed.sealed_key) == (SAME, b"sealed")
    assert renamed.key_hint == "9f3A"


@pytest.mark.parametrize(
    ("changes", "sealed_key", "hint"),
    [
        (ApiChanges(base_url=OTHER), None, ""),
        (ApiChanges(base_url=SAME), b"sealed", "9f3A"),
        (ApiChanges(api_key=Secret("")), None, ""),
        (ApiChanges(base_url=SAME, api_key=Secret("")), None, ""),
        (ApiChanges(base_url=OTHER, api_key=Secret("")), None, ""),
        (ApiChanges(api_key=Secret("sk-new-5678")), None, "5678"),
        (ApiChanges(base_url=OTHER, api_key=Secret("sk-new-5678")), None, "5678"),
    ],
)
def test_a_key_stays_only_where_its_server_does(
    changes: ApiChanges, sealed_key: bytes | None, hint: str
) -> None:
    changed = changes.applied_to(an_api())
    assert (changed.sealed_key, changed.key_hint) == (sealed_key, hint)


def test_a_secret_without_characters_is_no_new_key() -> None:
    assert ApiChanges().new_key is None
    assert ApiChanges(api_key=Secret("")).new_key is None
    assert ApiChanges(api_key=Secret("sk-new")).new_key == Secret("sk-new")
