"""Who asks, and by what right."""

from dataclasses import dataclass

from domain.identifiers import ApiTokenId, SignInId, UserId


@dataclass(frozen=True, slots=True)
class Caller:
    """A user, and what proved it: a sign-in, which is one log-in and all its refreshes, or a
    personal API token. Neither, where nobody is asked for a proof."""

    user: UserId
    sign_in: SignInId | None = None
    api_token: ApiTokenId | None = None

    @property
    def is_proved(self) -> bool:
        return self.sign_in is not None or self.api_token is not None


@dataclass(frozen=True, slots=True)
class Refresh:
    """What a refresh token says: of the tokens of this sign-in it is number `rotation`."""

    user: UserId
    sign_in: SignInId
    rotation: int
