from dataclasses import dataclass

from domain.secret import Secret


@dataclass(frozen=True, slots=True)
class ModelServer:
    """Where models are, and with which key. One that is `trusted` was named by the operator, and
    may be anywhere; others may be in the public internet only."""

    base_url: str
    key: Secret | None
    trusted: bool

    @property
    def name(self) -> str:
        """What its failures are counted under: what some users do to a server that the operator
        uses too does not suspend it for the others."""
        return f"{'operator' if self.trusted else 'user'} {self.base_url}"
