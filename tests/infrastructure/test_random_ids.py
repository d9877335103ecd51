import base64

from infrastructure.random_ids import RandomIds


def test_an_api_token_is_known_by_its_beginning_and_has_32_random_bytes() -> None:
    made = [RandomIds().api_token().reveal() for _ in range(50)]
    assert len(set(made)) == 50
    for token in made:
        assert token.startswith("sk-")
        assert len(base64.urlsafe_b64decode(token[3:] + "=")) == 32


def test_a_ticket_has_32_random_bytes_and_can_stand_in_an_address() -> None:
    made = [RandomIds().ticket().reveal() for _ in range(50)]
    assert len(set(made)) == 50
    for ticket in made:
        assert len(base64.urlsafe_b64decode(ticket + "=")) == 32


def test_a_sign_in_has_an_id_that_was_not_there_before() -> None:
    made = {RandomIds().sign_in() for _ in range(50)}
    assert len(made) == 50
    assert all(len(sign_in) <= 50 for sign_in in made)
