"""Which use case stands behind which door, whatever the technology."""

from dataclasses import dataclass

from starlette.types import ASGIApp

from application.answer_message import AnswerMessage
from application.api_configs import (
    AddApi,
    ChangeApi,
    DeleteApi,
    ListApis,
    ReadFirstApi,
    ReadNamedApi,
)
from application.browse import ListSessions, ReadGeneration, ReadMessages, ReadSession
from application.choose_model import ChooseModel
from application.claim_generation import ClaimGeneration
from application.claims import Claims
from application.end_generation import EndGeneration
from application.enter import EnterOpenly
from application.follow_session import FollowGeneration, FollowSession
from application.following import Followers
from application.list_models import ListModels
from application.open_session import OpenSession
from application.ports import ChatModels, EventStream, Ids, OpenUnitOfWork, Personas, RequestQueue
from application.renew_claims import RenewClaims
from application.submit_message import SubmitMessage
from application.sweep_generations import SweepGenerations
from application.try_api import TryApi
from application.watch_sessions import WatchSessions
from domain.prompt import ContextWindow
from interface.api_configs import ApiConfigRoutes
from interface.app import build_app
from interface.asker import OpenDoor
from interface.generations import GenerationRoutes
from interface.health import HealthRoutes
from interface.heartbeats import Heartbeats
from interface.sessions import SessionRoutes
from interface.sse import sse_routes
from interface.websocket import WebSocketDoor
from interface.worker import Worker


@dataclass(frozen=True, slots=True)
class Ports:
    """What keeps the promises of `application/ports.py`."""

    open_unit_of_work: OpenUnitOfWork
    queue: RequestQueue
    stream: EventStream
    models: ChatModels
    personas: Personas
    ids: Ids


def build_worker(
    ports: Ports,
    window: ContextWindow,
    concurrency: int,
    lease_seconds: float,
    sweep_seconds: float,
) -> Worker:
    database, stream, queue = ports.open_unit_of_work, ports.stream, ports.queue
    claims = Claims()
    end = EndGeneration(database, stream, queue)
    choose_model = ChooseModel(ports.models)
    return Worker(
        queue,
        ClaimGeneration(database, choose_model, ports.personas, window, lease_seconds),
        AnswerMessage(database, stream, claims, end),
        RenewClaims(database, claims, lease_seconds),
        SweepGenerations(database, stream, end, claims, sweep_seconds),
        claims,
        concurrency,
        lease_seconds,
        sweep_seconds,
    )


@dataclass(frozen=True, slots=True)
class Web:
    """The doors, and what runs beside them."""

    app: ASGIApp
    health: HealthRoutes
    followers: Followers
    heartbeats: Heartbeats
    watch: WatchSessions


def build_web(ports: Ports) -> Web:
    database, stream = ports.open_unit_of_work, ports.stream
    models, personas, ids = ports.models, ports.personas, ports.ids
    choose_model = ChooseModel(models)
    who = OpenDoor(EnterOpenly(database))
    followers, heartbeats = Followers(), Heartbeats()
    follow_session = FollowSession(database, stream, followers)
    follow_generation = FollowGeneration(database, stream, followers)
    open_session = OpenSession(database, choose_model, personas, ids)
    submit = SubmitMessage(database, ports.queue, choose_model, personas, ids)
    health = HealthRoutes(database)
    sessions = SessionRoutes(
        who,
        open_session,
        ListSessions(database),
        ReadSession(database),
        ReadMessages(database),
        submit,
    )
    apis = ApiConfigRoutes(
        who,
        AddApi(database, models),
        ListApis(database),
        ReadFirstApi(database),
        ReadNamedApi(database),
        ChangeApi(database, models),
        DeleteApi(database),
        TryApi(database, models),
        ListModels(database, models),
    )
    app = build_app(
        [
            *health.routes(),
            *sessions.routes(),
            *apis.routes(),
            *sse_routes(who, follow_session, follow_generation, heartbeats),
            *GenerationRoutes(who, ReadGeneration(database, stream)).routes(),
            *WebSocketDoor(who, open_session, follow_session, submit).routes(),
        ]
    )
    watch = WatchSessions(database, followers)
    return Web(app, health, followers, heartbeats, watch)
