import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from application.ports import FileStore, OpenUnitOfWork
from domain.errors import DatabaseUnavailable, StorageUnavailable
from domain.identifiers import FileKey

log = logging.getLogger(__name__)

_BATCH: Final = 100


@dataclass(frozen=True, slots=True)
class ClearStrays:
    """Delete contents that belong to no file: what a crash has left of an upload, and what could
    not be deleted with its file."""

    open_unit_of_work: OpenUnitOfWork
    store: FileStore

    async def __call__(self) -> None:
        """All that there are. Raises DatabaseUnavailable, StorageUnavailable."""
        full = True
        while full:
            async with self.open_unit_of_work(read_only=True) as work:
                strays = await work.files.strays(_BATCH)
            await self._clear(strays)
            if strays:
                log.info("deleted %d contents that belonged to no file", len(strays))
            full = len(strays) == _BATCH

    async def these(self, keys: Sequence[FileKey]) -> None:
        """Now, if it can be done; else they are found later."""
        try:
            await self._clear(keys)
        except (DatabaseUnavailable, StorageUnavailable) as error:
            log.warning("%d contents are deleted later: %s", len(keys), error.__cause__ or error)

    async def _clear(self, keys: Sequence[FileKey]) -> None:
        deleted, failed = list[FileKey](), None
        for key in keys:
            try:
                await self.store.delete(key)
                deleted.append(key)
            except StorageUnavailable as error:  # which need not be so for the others
                failed = error
        if deleted:
            async with self.open_unit_of_work() as work:
                await work.files.clear(deleted)
                await work.commit()
        if failed is not None:
            raise failed
