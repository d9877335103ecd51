from dataclasses import dataclass, replace
from datetime import datetime

from domain.identifiers import ApiId, UserId
from domain.secret import Secret


@dataclass(frozen=True, slots=True)
class ApiConfig:
    """A user's own way to a model: which one, at which server, by which provider's dialect.

    `sealed_key` is the key as it is stored, which only the adapter that sealed it can open; None
    if the server wants none. `key_hint` is the key's last 4 characters.
    """

    id: ApiId
    owner: UserId
    name: str
    model_name: str
    base_url: str
    provider: str
    key_hint: str
    sealed_key: bytes | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class NewApiConfig:
    owner: UserId
    name: str
    model_name: str
    base_url: str
    provider: str
    api_key: Secret | None


@dataclass(frozen=True, slots=True)
class ApiChanges:
    """What is to become of a configuration; None leaves a field as it is.

    A secret of no characters takes the key away.
    """

    name: str | None = None
    model_name: str | None = None
    base_url: str | None = None
    provider: str | None = None
    api_key: Secret | None = None

    @property
    def new_key(self) -> Secret | None:
        """The key to be stored instead of the one that is there."""
        return self.api_key if self.api_key is not None and self.api_key.reveal() else None

    def applied_to(self, config: ApiConfig) -> ApiConfig:
        """The configuration afterwards, but for `updated_at` and the sealed form of a new key."""
        changed = replace(
            config,
            name=self.name or config.name,
            model_name=self.model_name or config.model_name,
            base_url=self.base_url or config.base_url,
            provider=self.provider or config.provider,
        )
        if self.new_key is not None:
            return replace(changed, key_hint=self.new_key.hint, sealed_key=None)
        # A key is never sent to another server than the one that it was given for.
        if self.api_key is not None or changed.base_url != config.base_url:
            return replace(changed, key_hint="", sealed_key=None)
        return changed
