from application.enter import EnterOpenly
from application.identify import IdentifyByTicket, IdentifyByToken
from application.ports import (
    OpenUnitOfWork,
)
from interface.asker import Asker, LockedDoor, OpenDoor, ReadCredentials
from wiring.given import Admission


def build_asker(database: OpenUnitOfWork, admission: Admission, *, any_key: bool = False) -> Asker:
    by_token = IdentifyByToken(database, admission.tokens)
    credentials = ReadCredentials(by_token, IdentifyByTicket(database))
    if admission.required:
        return LockedDoor(credentials)
    return OpenDoor(credentials, EnterOpenly(database), any_key)
