"""Access and refresh tokens as JSON web tokens, signed by HMAC-SHA256."""

import re
import time
from collections.abc import Callable
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from domain.access import Caller, Refresh
from domain.errors import InvalidToken
from domain.identifiers import SignInId, UserId
from domain.secret import Secret

REFRESH_SECONDS: Final = 30 * 24 * 60 * 60
LEEWAY_SECONDS: Final = 5
"""By which the clocks of two processes may differ."""

MOST_ROTATIONS: Final = 2**31 - 1
"""As far as databases count. Who refreshed once a second would come to it after 68 years."""

_ALGORITHM: Final = "HS256"
_ISSUER: Final = "llm-chat"
# RFC 8725, 3.12: what tells one kind of token from the other.
_ACCESS: Final = "llm-chat:access"
_REFRESH: Final = "llm-chat:refresh"
_ID: Final = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)


class JwtTokens:
    """Other processes with the same secret take its tokens for their own."""

    def __init__(
        self,
        secret: Secret,
        access_seconds: int,
        refresh_seconds: int = REFRESH_SECONDS,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._key: Final = OctKey.import_key(secret.reveal().encode())
        self._now: Final = now
        self.access_seconds: Final = access_seconds
        self.refresh_seconds: Final = refresh_seconds

    def access(self, caller: Caller) -> Secret:
        claims = {"sub": str(caller.user), "sid": caller.sign_in}
        return self._sign(_ACCESS, claims, self.access_seconds)

    def refresh(self, refresh: Refresh) -> Secret:
        claims = {"sub": str(refresh.user), "sid": refresh.sign_in, "n": refresh.rotation}
        return self._sign(_REFRESH, claims, self.refresh_seconds)

    def read_access(self, token: Secret) -> Caller:
        claims = self._read(_ACCESS, token)
        return Caller(_user(claims), _sign_in(claims))

    def read_refresh(self, token: Secret) -> Refresh:
        claims = self._read(_REFRESH, token)
        rotation = claims.get("n")
        if type(rotation) is not int or not 0 <= rotation < MOST_ROTATIONS:
            raise InvalidToken
        return Refresh(_user(claims), _sign_in(claims), rotation)

    def _sign(self, audience: str, claims: dict[str, Any], seconds: int) -> Secret:
        now = int(self._now())
        whole = {"iss": _ISSUER, "aud": audience, **claims, "iat": now, "exp": now + seconds}
        return Secret(jwt.encode({"alg": _ALGORITHM}, whole, self._key, [_ALGORITHM]))

    def _read(self, audience: str, token: Secret) -> dict[str, Any]:
        registry = jwt.JWTClaimsRegistry(
            int(self._now()),
            LEEWAY_SECONDS,
            iss={"essential": True, "value": _ISSUER},
            aud={"essential": True, "value": audience},
            sub={"essential": True},
            sid={"essential": True},
            iat={"essential": True},
            exp={"essential": True},
        )
        try:
            claims = jwt.decode(token.reveal(), self._key, [_ALGORITHM]).claims
            registry.validate(claims)
        # Not all that is no token is found out by the library.
        except (JoseError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
            raise InvalidToken from None
        return claims


def _user(claims: dict[str, Any]) -> UserId:
    user = claims["sub"]
    if not isinstance(user, str) or not _ID.fullmatch(user) or int(user) >= 2**63:
        raise InvalidToken
    return UserId(int(user))


def _sign_in(claims: dict[str, Any]) -> SignInId:
    sign_in = claims["sid"]
    if not isinstance(sign_in, str) or len(sign_in) > 50 or not sign_in.isprintable():
        raise InvalidToken
    return SignInId(sign_in)
