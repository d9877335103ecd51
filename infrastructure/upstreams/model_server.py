from dataclasses import dataclass

from domain.identifiers import UserId
from domain.secret import Secret


@dataclass(frozen=True, slots=True)
class ModelServer:
    """Where models are, and with which key. One that is `trusted` may be anywhere, others in the
    public internet only. `user` is whose configuration named it; None if it is the operator's."""

    base_url: str
    key: Secret | None
    trusted: bool
    user: UserId | None = None

    @property
    def name(self) -> str:
        """What its failures are counted under: what a user does to a server, or with it, does not
        suspend it for others."""
        return f"{'operator' if self.user is None else self.user} {self.base_url}"
