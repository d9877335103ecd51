from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row, bindparam, case, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from domain.api_config import ApiChanges, ApiConfig, NewApiConfig
from domain.errors import NameTaken
from domain.identifiers import ApiId, UserId
from infrastructure.key_ring import KeyRing
from infrastructure.sql.clock import now_ms, to_datetime
from infrastructure.sql.connection import Repository, SqlConnection, statement
from infrastructure.sql.tables import user_apis as apis

_own = apis.c.user_id == bindparam("owner")
_this = apis.c.id == bindparam("api")
_of_model = apis.c.model_name == bindparam("model")

_ADD = (
    insert(apis).values(sealed_key=None, created_at=now_ms(), updated_at=now_ms()).returning(apis)
)
_SEAL = update(apis).where(_this).values(sealed_key=bindparam("new_sealed_key"))
_CHANGE = (
    update(apis)
    .where(_this)
    .values(
        name=bindparam("new_name"),
        model_name=bindparam("new_model_name"),
        base_url=bindparam("new_base_url"),
        provider=bindparam("new_provider"),
        key_hint=bindparam("new_key_hint"),
        sealed_key=bindparam("new_sealed_key"),
        # It tells one state of the row from another: a clock that goes back must not repeat one.
        updated_at=case((now_ms() > apis.c.updated_at, now_ms()), else_=apis.c.updated_at + 1),
    )
    .returning(apis)
)
_DELETE = delete(apis).where(_own, _this).returning(apis.c.id)
_FIND = select(apis).where(_own, _this)
_LOCK = _FIND.with_for_update()
_NAMED = select(apis).where(_own, apis.c.name == bindparam("named"))
_PAGE = (
    select(apis)
    .where(_own, apis.c.id > bindparam("after"))
    .order_by(apis.c.id)
    .limit(bindparam("most"))
)
_PAGE_OF_MODEL = _PAGE.where(_of_model)
_oldest = select(func.min(apis.c.id)).where(_own).group_by(apis.c.model_name)
_MODEL_NAMES = (
    select(apis.c.model_name, apis.c.provider).where(apis.c.id.in_(_oldest)).order_by(apis.c.id)
)


class SqlApiConfigs(Repository):
    __slots__ = ("key_ring",)

    def __init__(self, connection: SqlConnection, key_ring: KeyRing) -> None:
        super().__init__(connection)
        self.key_ring = key_ring

    @statement
    def add(self, connection: Connection, new: NewApiConfig) -> ApiConfig:
        values = {
            "user_id": new.owner,
            "name": new.name,
            "model_name": new.model_name,
            "base_url": new.base_url,
            "provider": new.provider,
            "key_hint": new.api_key.hint if new.api_key else "",
        }
        with _free(connection, new.owner, new.name):
            config = _config(connection.execute(_ADD, values).one())
        if new.api_key is None:
            return config
        sealed = self.key_ring.seal(new.api_key, config.owner, config.id)
        connection.execute(_SEAL, {"api": config.id, "new_sealed_key": sealed})
        return replace(config, sealed_key=sealed)

    @statement
    def change(
        self, connection: Connection, owner: UserId, api_id: ApiId, changes: ApiChanges
    ) -> ApiConfig | None:
        row = connection.execute(_LOCK, {"owner": owner, "api": api_id}).one_or_none()
        if row is None:
            return None
        changed = changes.applied_to(_config(row))
        sealed = changed.sealed_key
        if changes.new_key is not None:
            sealed = self.key_ring.seal(changes.new_key, owner, api_id)
        values = {
            "api": api_id,
            "new_name": changed.name,
            "new_model_name": changed.model_name,
            "new_base_url": changed.base_url,
            "new_provider": changed.provider,
            "new_key_hint": changed.key_hint,
            "new_sealed_key": sealed,
        }
        with _free(connection, owner, changed.name):
            return _config(connection.execute(_CHANGE, values).one())

    @statement
    def delete(self, connection: Connection, owner: UserId, api_id: ApiId) -> bool:
        values = {"owner": owner, "api": api_id}
        return connection.execute(_DELETE, values).one_or_none() is not None

    @statement
    def find(self, connection: Connection, owner: UserId, api_id: ApiId) -> ApiConfig | None:
        return _found(connection.execute(_FIND, {"owner": owner, "api": api_id}).one_or_none())

    @statement
    def named(self, connection: Connection, owner: UserId, name: str) -> ApiConfig | None:
        return _found(connection.execute(_NAMED, {"owner": owner, "named": name}).one_or_none())

    @statement
    def first(
        self, connection: Connection, owner: UserId, model_name: str | None = None
    ) -> ApiConfig | None:
        return next(iter(_page(connection, owner, 1, None, model_name)), None)

    @statement
    def page(
        self,
        connection: Connection,
        owner: UserId,
        limit: int,
        after: ApiId | None,
        model_name: str | None = None,
    ) -> Sequence[ApiConfig]:
        return _page(connection, owner, limit, after, model_name)

    @statement
    def model_names(self, connection: Connection, owner: UserId) -> Sequence[tuple[str, str]]:
        rows = connection.execute(_MODEL_NAMES, {"owner": owner})
        return [(row.model_name, row.provider) for row in rows]


@contextmanager
def _free(connection: Connection, owner: UserId, name: str) -> Iterator[None]:
    """Raises NameTaken if the name turns out to be; the transaction can go on even so."""
    try:
        with connection.begin_nested():
            yield
    except IntegrityError:
        if connection.execute(_NAMED, {"owner": owner, "named": name}).one_or_none() is None:
            raise
        raise NameTaken from None


def _page(
    connection: Connection,
    owner: UserId,
    limit: int,
    after: ApiId | None,
    model_name: str | None,
) -> Sequence[ApiConfig]:
    values: dict[str, Any] = {"owner": owner, "after": after or 0, "most": limit}
    query = _PAGE
    if model_name is not None:
        values["model"] = model_name
        query = _PAGE_OF_MODEL
    return [_config(row) for row in connection.execute(query, values)]


def _found(row: Row[Any] | None) -> ApiConfig | None:
    return None if row is None else _config(row)


def _config(row: Row[Any]) -> ApiConfig:
    return ApiConfig(
        ApiId(row.id),
        UserId(row.user_id),
        row.name,
        row.model_name,
        row.base_url,
        row.provider,
        row.key_hint,
        row.sealed_key,
        to_datetime(row.created_at),
        to_datetime(row.updated_at),
    )
