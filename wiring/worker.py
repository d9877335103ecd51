from starlette.types import ASGIApp

from application.announce import AnnounceTo
from application.answer_message import NOTHING_COUNTS, AnswerMessage
from application.choose_model import ChooseModel
from application.claim_generation import ClaimGeneration
from application.claims import Claims
from application.end_generation import EndGeneration
from application.recollect import Recollect
from application.renew_claims import RenewClaims
from application.show_again import ShowAgain
from application.sweep_generations import SweepGenerations
from domain.limits import NO_LIMIT, Room
from domain.meter import Meter
from domain.prompt import ContextWindow
from interface.app import build_app
from interface.health import HEALTHZ
from interface.metrics import MetricsRoutes, Scrape
from interface.worker import Worker
from wiring.given import Ports


def build_worker(
    ports: Ports,
    window: ContextWindow,
    concurrency: int,
    lease_seconds: float,
    sweep_seconds: float,
    meter: Meter = NOTHING_COUNTS,
    room: Room = NO_LIMIT,
) -> Worker:
    database, stream, queue = ports.open_unit_of_work, ports.stream, ports.queue
    announce = AnnounceTo(ports.listeners)
    claims = Claims()
    end = EndGeneration(database, stream, queue, announce)
    renew = RenewClaims(database, claims, lease_seconds)
    choose_model, recollect = ChooseModel(ports.models), Recollect(ports.cache)
    return Worker(
        queue,
        ports.wake_ups,
        ClaimGeneration(
            database, choose_model, ports.personas, window, lease_seconds, announce, recollect, room
        ),
        AnswerMessage(database, stream, claims, end, queue, recollect, meter, ports.spans),
        renew,
        ShowAgain(database, claims, renew),
        SweepGenerations(database, stream, end, claims, sweep_seconds),
        claims,
        concurrency,
        lease_seconds,
        sweep_seconds,
    )


def build_worker_door(scrape: Scrape) -> ASGIApp:
    """For whoever watches over a process that has no others."""
    return build_app([HEALTHZ, *MetricsRoutes(scrape).routes()])
