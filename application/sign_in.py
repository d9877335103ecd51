"""Signing in and out: register, log in, refresh, log out."""

import logging
from dataclasses import dataclass

from application.ports import Ids, OpenUnitOfWork, PasswordHasher, Tokens, UnitOfWork
from domain.access import Caller, Refresh
from domain.errors import InvalidCredentials, InvalidInput, InvalidToken, UsernameTaken
from domain.identifiers import UserId
from domain.secret import Secret
from domain.user import LOCAL_USERNAME, User, clean_credentials

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A user, and what proves from now on that it is them, and for how long. The refresh token is
    good for the next pair."""

    user: User
    access: Secret
    access_seconds: int
    refresh: Secret
    refresh_seconds: int


@dataclass(frozen=True, slots=True)
class BeginSignIn:
    """The first pair of tokens, within the transaction that says who it is."""

    tokens: Tokens
    ids: Ids

    async def __call__(self, work: UnitOfWork, user: User) -> SignedIn:
        sign_in = self.ids.sign_in()
        await work.sign_ins.begin(sign_in, user.id, self.tokens.refresh_seconds)
        return _pair(self.tokens, user, Refresh(user.id, sign_in, 0))


@dataclass(frozen=True, slots=True)
class Register:
    open_unit_of_work: OpenUnitOfWork
    passwords: PasswordHasher
    begin: BeginSignIn

    async def __call__(self, username: str, password: Secret) -> SignedIn:
        """Raises InvalidInput, UsernameTaken, Overloaded."""
        credentials = clean_credentials(username, password)
        if credentials.username == LOCAL_USERNAME:
            raise UsernameTaken
        hashed = await self.passwords.hash(credentials.password)
        async with self.open_unit_of_work() as work:
            user = await work.users.add(credentials.username, hashed)
            signed_in = await self.begin(work, user)
            await work.commit()
        return signed_in


@dataclass(frozen=True, slots=True)
class LogIn:
    open_unit_of_work: OpenUnitOfWork
    passwords: PasswordHasher
    begin: BeginSignIn

    async def __call__(self, username: str, password: Secret) -> SignedIn:
        """Raises InvalidCredentials, as late for who is not there as for who is, and
        Overloaded."""
        kept = None
        try:
            credentials = clean_credentials(username, password)
        except InvalidInput:  # so it is nobody's
            password = Secret("")
        else:
            password = credentials.password
            async with self.open_unit_of_work(read_only=True) as work:
                kept = await work.users.password_of(credentials.username)
        matches = await self.passwords.matches(password, kept.hashed if kept else None)
        if kept is None or not matches:
            raise InvalidCredentials
        async with self.open_unit_of_work() as work:
            user = await work.users.find(kept.user.id)
            if user is None:
                raise InvalidCredentials
            signed_in = await self.begin(work, user)
            await work.commit()
        return signed_in


@dataclass(frozen=True, slots=True)
class RefreshSignIn:
    """The next pair of tokens for the last refresh token."""

    open_unit_of_work: OpenUnitOfWork
    tokens: Tokens

    async def __call__(self, token: Secret) -> SignedIn:
        """Raises InvalidToken. If the token was used before, one of the two who have it has
        stolen it, and nobody knows which: the sign-in ends."""
        refresh = self.tokens.read_refresh(token)
        async with self.open_unit_of_work() as work:
            user = await work.users.find(refresh.user)
            if user is None:
                raise InvalidToken
            if await work.sign_ins.renew(refresh, self.tokens.refresh_seconds):
                await work.commit()
                after = Refresh(refresh.user, refresh.sign_in, refresh.rotation + 1)
                return _pair(self.tokens, user, after)
            await _end_reused(work, refresh)
        raise InvalidToken


@dataclass(frozen=True, slots=True)
class ProlongSignIn:
    """The next pair of tokens for a refresh token that is kept where no script can read it. It
    stays the last one: two tabs may use it at once, and a page may leave before it hears of the
    next."""

    open_unit_of_work: OpenUnitOfWork
    tokens: Tokens

    async def __call__(self, token: Secret) -> SignedIn:
        """Raises InvalidToken; and the sign-in ends, if somebody has made a later token of this
        one."""
        refresh = self.tokens.read_refresh(token)
        async with self.open_unit_of_work() as work:
            user = await work.users.find(refresh.user)
            if user is None:
                raise InvalidToken
            if await work.sign_ins.prolong(refresh, self.tokens.refresh_seconds):
                await work.commit()
                return _pair(self.tokens, user, refresh)
            await _end_reused(work, refresh)
        raise InvalidToken


@dataclass(frozen=True, slots=True)
class LogOut:
    """Everywhere: all of a user's sign-ins end, and with them their access tokens at once and
    their streams at the next check. API tokens stay."""

    open_unit_of_work: OpenUnitOfWork

    async def __call__(self, user: UserId) -> None:
        async with self.open_unit_of_work() as work:
            await work.sign_ins.end_all(user)
            await work.commit()


@dataclass(frozen=True, slots=True)
class ReadUser:
    open_unit_of_work: OpenUnitOfWork

    async def __call__(self, user: UserId) -> User:
        """Raises InvalidToken: who asked is deleted meanwhile."""
        async with self.open_unit_of_work(read_only=True) as work:
            found = await work.users.find(user)
        if found is None:
            raise InvalidToken
        return found


async def _end_reused(work: UnitOfWork, refresh: Refresh) -> None:
    if await work.sign_ins.end_reused(refresh):
        await work.commit()
        log.warning("a refresh token was used twice: %s is ended", refresh.sign_in)


def _pair(tokens: Tokens, user: User, refresh: Refresh) -> SignedIn:
    access = tokens.access(Caller(user.id, refresh.sign_in))
    token, seconds = tokens.refresh(refresh), tokens.refresh_seconds
    return SignedIn(user, access, tokens.access_seconds, token, seconds)
