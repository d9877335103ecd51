"""Signing in and out, API tokens, tickets: the use cases over fakes."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from application.api_tokens import DeleteApiToken, ListApiTokens, MakeApiToken
from application.identify import IdentifyByTicket, IdentifyByToken, MakeTicket
from application.sign_in import (
    BeginSignIn,
    LogIn,
    LogOut,
    ProlongSignIn,
    ReadUser,
    RefreshSignIn,
    Register,
    SignedIn,
)
from domain.access import Caller
from domain.errors import (
    ApiTokenNotFound,
    DatabaseUnavailable,
    InvalidCredentials,
    InvalidInput,
    InvalidToken,
    Overloaded,
    UsernameTaken,
)
from domain.secret import Secret
from domain.user import LOCAL_USERNAME
from infrastructure.jwt_tokens import JwtTokens
from tests.builders import SECRET_KEY, add_user
from tests.fakes import CountingIds, FakeDatabase, FakePasswords
from tests.operator import delete_user

PASSWORD = Secret("correct horse")
OTHER = Secret("another horse")


@dataclass
class Accounts:
    database: FakeDatabase = field(default_factory=FakeDatabase)
    passwords: FakePasswords = field(default_factory=FakePasswords)
    now: float = 1_795_000_000

    def __post_init__(self) -> None:
        database, ids = self.database, CountingIds()
        self.tokens = JwtTokens(SECRET_KEY, 900, now=lambda: self.now)
        begin = BeginSignIn(self.tokens, ids)
        self.register = Register(database, self.passwords, begin)
        self.log_in = LogIn(database, self.passwords, begin)
        self.refresh = RefreshSignIn(database, self.tokens)
        self.prolong = ProlongSignIn(database, self.tokens)
        self.log_out = LogOut(database)
        self.read_user = ReadUser(database)
        self.make_token = MakeApiToken(database, ids)
        self.list_tokens = ListApiTokens(database)
        self.delete_token = DeleteApiToken(database)
        self.make_ticket = MakeTicket(database, ids)
        self.by_token = IdentifyByToken(database, self.tokens)
        self.by_ticket = IdentifyByTicket(database)

    async def ada(self) -> SignedIn:
        return await self.register("ada", PASSWORD)


@pytest.fixture
def accounts() -> Accounts:
    return Accounts()


def caller_of(accounts: Accounts, signed_in: SignedIn) -> Caller:
    return accounts.tokens.read_access(signed_in.access)


async def refused(asking: Awaitable[object]) -> bool:
    try:
        await asking
    except InvalidToken:
        return True
    return False


# Registering and logging in


async def test_who_registers_is_signed_in_and_can_log_in_again(accounts: Accounts) -> None:
    registered = await accounts.ada()
    logged_in = await accounts.log_in("ada", PASSWORD)
    assert registered.user == logged_in.user
    assert registered.user.username == "ada"
    callers = [await accounts.by_token(each.access) for each in (registered, logged_in)]
    assert {caller.user for caller in callers} == {registered.user.id}
    assert callers[0].sign_in != callers[1].sign_in
    assert await accounts.read_user(registered.user.id) == registered.user


async def test_no_password_is_kept_as_it_is(accounts: Accounts) -> None:
    await accounts.ada()
    assert "horse" not in repr(accounts.database.state)


async def test_a_name_is_taken_once_and_keeps_its_password(accounts: Accounts) -> None:
    await accounts.ada()
    with pytest.raises(UsernameTaken):
        await accounts.register("ada", OTHER)
    await accounts.log_in("ada", PASSWORD)
    with pytest.raises(InvalidCredentials):
        await accounts.log_in("ada", OTHER)


@pytest.mark.parametrize("exists", [False, True])
async def test_nobody_registers_as_the_local_user(accounts: Accounts, exists: bool) -> None:
    if exists:
        await add_user(accounts.database, LOCAL_USERNAME)
    with pytest.raises(UsernameTaken):
        await accounts.register(LOCAL_USERNAME, PASSWORD)
    assert len(accounts.database.state.users) == exists
    assert accounts.passwords.asked == 0


async def test_what_breaks_a_rule_costs_nothing_and_changes_nothing(accounts: Accounts) -> None:
    with pytest.raises(InvalidInput):
        await accounts.register("a", Secret("short"))
    assert accounts.passwords.asked == 0
    assert accounts.database.state.users == []


async def test_the_same_letters_are_the_same_however_they_are_typed(accounts: Accounts) -> None:
    registered = await accounts.register("Zo\u00eb", Secret("p\u00e5ssw\u00f6rd"))
    with pytest.raises(UsernameTaken):
        await accounts.register("Zoe\u0308", PASSWORD)
    logged_in = await accounts.log_in("Zoe\u0308", Secret("pa\u030asswo\u0308rd"))
    assert logged_in.user == registered.user


async def test_whoever_can_not_log_in_is_refused_alike_and_at_the_same_cost(
    accounts: Accounts,
) -> None:
    await accounts.ada()
    bob = await accounts.register("bob", PASSWORD)
    await delete_user(accounts.database, bob.user.id)
    await add_user(accounts.database, LOCAL_USERNAME)
    before = accounts.database.state
    sentences = set()
    attempts = [
        ("ada", OTHER),
        ("bob", PASSWORD),
        ("eve", PASSWORD),
        (LOCAL_USERNAME, PASSWORD),
        (LOCAL_USERNAME, Secret("")),
        ("Ada", PASSWORD),
        ("", Secret("")),
        ("ada", Secret("x" * 1_000_000)),
        ("x" * 1_000_000, PASSWORD),
        ("ada\x00", PASSWORD),
        ("\ud800" * 3, Secret("\ud800" * 8)),
    ]
    for username, password in attempts:
        accounts.passwords.asked = 0
        with pytest.raises(InvalidCredentials) as refusal:
            await accounts.log_in(username, password)
        assert accounts.passwords.asked == 1
        sentences.add(str(refusal.value))
    assert len(sentences) == 1
    assert accounts.database.state is before


async def test_who_was_deleted_while_the_password_was_checked_does_not_come_in(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await accounts.ada()
    matches = accounts.passwords.matches

    async def then_delete(password: Secret, hashed: str | None) -> bool:
        matched = await matches(password, hashed)
        await delete_user(accounts.database, ada.user.id)
        return matched

    monkeypatch.setattr(accounts.passwords, "matches", then_delete)
    with pytest.raises(InvalidCredentials):
        await accounts.log_in("ada", PASSWORD)


async def test_no_transaction_is_open_while_a_password_is_hashed(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes long, and the database has one writer."""
    seen = []

    def note() -> None:
        seen.append(accounts.database.open)

    monkeypatch.setattr(accounts.passwords, "_work", note)
    await accounts.ada()
    await accounts.log_in("ada", PASSWORD)
    assert seen == [0, 0]


async def test_when_too_many_come_at_once_nothing_is_changed(accounts: Accounts) -> None:
    await accounts.ada()
    before = accounts.database.state
    accounts.passwords.busy = True
    with pytest.raises(Overloaded):
        await accounts.register("bob", PASSWORD)
    with pytest.raises(Overloaded):
        await accounts.log_in("ada", PASSWORD)
    assert accounts.database.state is before


# Refreshing


async def test_each_refresh_token_is_good_for_one_more_pair(accounts: Accounts) -> None:
    signed_in = await accounts.ada()
    first = caller_of(accounts, signed_in)
    for _ in range(3):
        following = await accounts.refresh(signed_in.refresh)
        assert following.user == signed_in.user
        assert following.refresh != signed_in.refresh
        assert await accounts.by_token(following.access) == first
        signed_in = following


async def test_a_refresh_token_that_comes_twice_ends_the_whole_sign_in(
    accounts: Accounts, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    stolen = await accounts.ada()
    other = await accounts.log_in("ada", PASSWORD)
    latest = await accounts.refresh((await accounts.refresh(stolen.refresh)).refresh)
    await accounts.by_token(latest.access)
    with pytest.raises(InvalidToken):
        await accounts.refresh(stolen.refresh)
    for each in (stolen, latest):
        assert await refused(accounts.by_token(each.access))
        assert await refused(accounts.refresh(each.refresh))
    await accounts.by_token(other.access)
    await accounts.refresh(other.refresh)
    sign_in = caller_of(accounts, stolen).sign_in
    (record,) = caplog.records
    assert record.getMessage() == f"a refresh token was used twice: {sign_in} is ended"


async def test_of_two_who_refresh_at_once_one_wins_and_the_sign_in_ends(
    accounts: Accounts,
) -> None:
    signed_in = await accounts.ada()
    tries = [accounts.refresh(signed_in.refresh) for _ in range(2)]
    came = await asyncio.gather(*tries, return_exceptions=True)
    (winner,) = [each for each in came if isinstance(each, SignedIn)]
    (loser,) = [each for each in came if each is not winner]
    assert isinstance(loser, InvalidToken)
    assert await refused(accounts.by_token(winner.access))
    assert await refused(accounts.refresh(winner.refresh))


async def test_an_access_token_refreshes_nothing_and_a_refresh_token_opens_nothing(
    accounts: Accounts,
) -> None:
    signed_in = await accounts.ada()
    assert await refused(accounts.refresh(signed_in.access))
    assert await refused(accounts.by_token(signed_in.refresh))
    await accounts.refresh(signed_in.refresh)


async def test_who_is_deleted_refreshes_nothing(accounts: Accounts) -> None:
    signed_in = await accounts.ada()
    await delete_user(accounts.database, signed_in.user.id)
    assert await refused(accounts.refresh(signed_in.refresh))


async def test_a_refresh_lasts_long_after_the_access_token(accounts: Accounts) -> None:
    signed_in = await accounts.ada()
    accounts.now += 24 * 3600
    assert await refused(accounts.by_token(signed_in.access))
    refreshed = await accounts.refresh(signed_in.refresh)
    await accounts.by_token(refreshed.access)


# Prolonging


async def test_a_sign_in_is_prolonged_again_and_again_also_at_once(accounts: Accounts) -> None:
    signed_in = await accounts.ada()
    caller = caller_of(accounts, signed_in)
    came = await asyncio.gather(*(accounts.prolong(signed_in.refresh) for _ in range(3)))
    for each in came:
        assert each.user == signed_in.user
        assert await accounts.by_token(each.access) == caller
        assert (await accounts.prolong(each.refresh)).user == signed_in.user


async def test_what_is_prolonged_lasts_from_then_on(accounts: Accounts) -> None:
    signed_in = await accounts.ada()
    accounts.now += signed_in.refresh_seconds - 60
    prolonged = await accounts.prolong(signed_in.refresh)
    accounts.now += 24 * 3600
    assert await refused(accounts.prolong(signed_in.refresh))
    again = await accounts.prolong(prolonged.refresh)
    await accounts.by_token(again.access)
    accounts.now += again.refresh_seconds + 60
    assert await refused(accounts.prolong(again.refresh))


async def test_of_whose_token_a_later_one_was_made_the_sign_in_ends(
    accounts: Accounts, caplog: pytest.LogCaptureFixture
) -> None:
    signed_in = await accounts.ada()
    other = await accounts.log_in("ada", PASSWORD)
    rotated = await accounts.refresh(signed_in.refresh)
    assert await refused(accounts.prolong(signed_in.refresh))
    assert await refused(accounts.by_token(rotated.access))
    assert await refused(accounts.prolong(rotated.refresh))
    await accounts.prolong(other.refresh)
    sign_in = caller_of(accounts, signed_in).sign_in
    (record,) = caplog.records
    assert record.getMessage() == f"a refresh token was used twice: {sign_in} is ended"


async def test_who_is_logged_out_or_deleted_or_has_another_token_prolongs_nothing(
    accounts: Accounts,
) -> None:
    ada, bob = await accounts.ada(), await accounts.register("bob", PASSWORD)
    assert await refused(accounts.prolong(ada.access))
    await accounts.log_out(ada.user.id)
    await delete_user(accounts.database, bob.user.id)
    for each in (ada, bob):
        assert await refused(accounts.prolong(each.refresh))


# Logging out


async def test_a_log_out_ends_all_sign_ins_of_the_user_at_once_and_no_api_token(
    accounts: Accounts,
) -> None:
    one, two = await accounts.ada(), await accounts.log_in("ada", PASSWORD)
    bob = await accounts.register("bob", PASSWORD)
    made = await accounts.make_token(one.user.id, "cron", None)
    await accounts.log_out(one.user.id)
    for each in (one, two):
        assert await refused(accounts.by_token(each.access))
        assert await refused(accounts.refresh(each.refresh))
    assert (await accounts.by_token(made.token)).user == one.user.id
    await accounts.by_token(bob.access)
    again = await accounts.log_in("ada", PASSWORD)
    await accounts.by_token(again.access)


# API tokens


async def test_an_api_token_speaks_for_its_user_until_it_is_deleted(accounts: Accounts) -> None:
    ada = (await accounts.ada()).user.id
    made = await accounts.make_token(ada, "cron", 30)
    assert made.token.reveal().startswith("sk-")
    assert made.kept.hint == made.token.reveal()[-4:]
    assert await accounts.by_token(made.token) == Caller(ada, api_token=made.kept.id)
    assert await accounts.list_tokens(ada, 10, None) == [made.kept]
    assert made.token.reveal() not in repr(accounts.database.state)
    assert made.token.reveal() not in repr(made)
    await accounts.delete_token(ada, made.kept.id)
    assert await refused(accounts.by_token(made.token))
    with pytest.raises(ApiTokenNotFound):
        await accounts.delete_token(ada, made.kept.id)


async def test_nobody_deletes_the_api_token_of_another(accounts: Accounts) -> None:
    ada = (await accounts.ada()).user.id
    bob = (await accounts.register("bob", PASSWORD)).user.id
    made = await accounts.make_token(ada, "cron", None)
    with pytest.raises(ApiTokenNotFound):
        await accounts.delete_token(bob, made.kept.id)
    await accounts.by_token(made.token)
    assert await accounts.list_tokens(bob, 10, None) == []


# Whom credentials speak for


async def test_each_token_is_checked_by_one_reading_transaction(accounts: Accounts) -> None:
    signed_in = await accounts.ada()
    made = await accounts.make_token(signed_in.user.id, "cron", None)
    for token in (signed_in.access, made.token):
        accounts.database.reads = 0
        await accounts.by_token(token)
        assert accounts.database.reads == 1


@pytest.mark.parametrize("text", ["", "sk-", "sk-none", "none", "a.b.c", "\ud800", "x" * 100_000])
async def test_what_is_no_token_speaks_for_nobody(accounts: Accounts, text: str) -> None:
    await accounts.ada()
    assert await refused(accounts.by_token(Secret(text)))
    assert await refused(accounts.by_ticket(Secret(text)))
    assert await refused(accounts.refresh(Secret(text)))


async def test_nothing_is_let_pass_while_the_database_is_away(accounts: Accounts) -> None:
    signed_in = await accounts.ada()
    accounts.database.away = 1
    with pytest.raises(DatabaseUnavailable):
        await accounts.by_token(signed_in.access)


async def test_a_ticket_is_good_once_for_who_had_it_made_and_by_what(accounts: Accounts) -> None:
    signed_in = await accounts.ada()
    made = await accounts.make_token(signed_in.user.id, "cron", None)
    for token in (signed_in.access, made.token):
        caller = await accounts.by_token(token)
        ticket = await accounts.make_ticket(caller)
        assert ticket.reveal() not in repr(accounts.database.state)
        assert await accounts.by_ticket(ticket) == caller
        assert await refused(accounts.by_ticket(ticket))


Ending = Callable[[Accounts, SignedIn], Awaitable[None]]


async def log_out(accounts: Accounts, signed_in: SignedIn) -> None:
    await accounts.log_out(signed_in.user.id)


async def delete(accounts: Accounts, signed_in: SignedIn) -> None:
    await delete_user(accounts.database, signed_in.user.id)


@pytest.mark.parametrize("end", [log_out, delete])
async def test_a_ticket_is_of_no_use_when_what_made_it_has_ended(
    accounts: Accounts, end: Ending
) -> None:
    signed_in = await accounts.ada()
    ticket = await accounts.make_ticket(await accounts.by_token(signed_in.access))
    await end(accounts, signed_in)
    assert await refused(accounts.by_ticket(ticket))


async def test_who_is_deleted_is_nobody(accounts: Accounts) -> None:
    signed_in = await accounts.ada()
    made = await accounts.make_token(signed_in.user.id, "cron", None)
    await delete(accounts, signed_in)
    for token in (signed_in.access, made.token):
        assert await refused(accounts.by_token(token))
    assert await refused(accounts.read_user(signed_in.user.id))
