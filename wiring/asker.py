from application.enter import EnterOpenly
from application.identify import IdentifyByTicket, IdentifyByToken
from application.is_repeat import IsRepeat
from application.ports import OpenUnitOfWork
from interface.asker import Asker, LockedDoor, OpenDoor, PacedDoor, ReadCredentials
from interface.pace import Paces
from wiring.given import Admission, Ports


def build_asker(
    database: OpenUnitOfWork, admission: Admission, paces: Paces, *, any_key: bool = False
) -> Asker:
    by_token = IdentifyByToken(database, admission.tokens)
    credentials = ReadCredentials(by_token, IdentifyByTicket(database))
    if admission.required:
        return PacedDoor(LockedDoor(credentials), paces)
    return PacedDoor(OpenDoor(credentials, EnterOpenly(database), any_key), paces)


def build_paces(ports: Ports, admission: Admission) -> Paces:
    return Paces(
        ports.rate_limiter,
        admission.address_of,
        IsRepeat(ports.open_unit_of_work),
        admission.of_user,
        admission.of_token,
        admission.of_address,
    )
