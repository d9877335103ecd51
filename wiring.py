"""Which use case stands behind which door, whatever the technology."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from application.accepting import StoreGeneration
from application.announce import AnnounceTo, Listener
from application.answer_message import AnswerMessage
from application.api_configs import (
    AddApi,
    ChangeApi,
    DeleteApi,
    ListApis,
    ReadFirstApi,
    ReadNamedApi,
)
from application.api_tokens import DeleteApiToken, ListApiTokens, MakeApiToken
from application.await_answer import AwaitAnswer
from application.browse import ListSessions, ReadGeneration, ReadMessages, ReadSession
from application.change_session import ChangeSession, ClearHistory, DeleteSession
from application.choose_model import ChooseModel
from application.claim_generation import ClaimGeneration
from application.claims import Claims
from application.clear_strays import ClearStrays
from application.continue_call import ContinueCall
from application.end_generation import EndGeneration
from application.enter import EnterByName, EnterOpenly
from application.files import DeleteFile, ListFiles, ReadContent, ReadFile
from application.follow_session import FollowGeneration, FollowSession
from application.following import Followers
from application.forget_sessions import ForgetSessions
from application.identify import IdentifyByTicket, IdentifyByToken, MakeTicket
from application.list_models import ListModels
from application.open_session import OpenSession
from application.personas import ChooseDefaultPersona, ChooseRole, ListPersonas, ListRoles
from application.ports import (
    Cache,
    ChatModels,
    DocumentReader,
    EventStream,
    FileStore,
    Ids,
    OpenUnitOfWork,
    PasswordHasher,
    Personas,
    RequestQueue,
    Tokens,
    WakeUps,
)
from application.read_call import ReadCall
from application.recollect import Recollect
from application.regenerate_answer import RegenerateAnswer
from application.renew_claims import RenewClaims
from application.show_again import ShowAgain
from application.sign_in import (
    BeginSignIn,
    LogIn,
    LogOut,
    ProlongSignIn,
    ReadUser,
    RefreshSignIn,
    Register,
)
from application.stop_generation import StopGeneration
from application.submit_call import SubmitCall
from application.submit_message import SubmitMessage
from application.sweep_generations import SweepGenerations
from application.try_api import TryApi
from application.upload_file import UploadFile
from application.visits import RecheckCallers, Visits
from application.watch_sessions import WatchSessions
from domain.prompt import ContextWindow
from domain.uploaded_file import FileLimits
from interface.accounts import AccountRoutes
from interface.api_configs import ApiConfigRoutes
from interface.api_tokens import ApiTokenRoutes
from interface.app import build_app
from interface.asker import Asker, LockedDoor, OpenDoor, ReadCredentials
from interface.assets import Shelf, assets_of
from interface.dialects.ask_and_hear import AskAndHear
from interface.dialects.chat_completions import ChatCompletions
from interface.dialects.openai_models import OpenAIModelRoutes
from interface.dialects.plain_page import PlainPageRoutes
from interface.dialects.quick_start import QuickStartRoutes
from interface.dialects.responses import Responses
from interface.docs import docs_routes
from interface.files import FileRoutes
from interface.generations import GenerationRoutes
from interface.health import HealthRoutes
from interface.heartbeats import Heartbeats
from interface.messages import MessageRoutes
from interface.openapi.routes import openapi_routes
from interface.origins import Origins
from interface.personas import PersonaRoutes
from interface.repeat import Hurry
from interface.sessions import SessionRoutes
from interface.sse import Streams, sse_routes
from interface.web_page import CONTENT_SECURITY_POLICY, PageRoutes
from interface.websocket import WebSocketDoor
from interface.worker import Worker

STOP_SECONDS: Final = 5.0
"""How long a dialect whose cancelled answers have ended waits for that."""
STREAM_AWAY_WATCH_SECONDS: Final = 0.5
"""Between two looks at the database while it is what shows the answers."""


@dataclass(frozen=True, slots=True)
class Ports:
    """What keeps the promises of `application/ports.py`."""

    open_unit_of_work: OpenUnitOfWork
    queue: RequestQueue
    stream: EventStream
    wake_ups: WakeUps
    cache: Cache
    models: ChatModels
    personas: Personas
    ids: Ids
    files: FileStore
    documents: DocumentReader
    listeners: Sequence[Listener] = ()


@dataclass(frozen=True, slots=True)
class Pages:
    """What browsers load: the web page and `/docs`, by path, and the plain page at `/chat`."""

    chat: Mapping[str, bytes]
    docs: Mapping[str, bytes]
    plain: bytes


@dataclass(frozen=True, slots=True)
class Admission:
    """How people prove who they are, and whether they must."""

    passwords: PasswordHasher
    tokens: Tokens
    required: bool


def build_worker(
    ports: Ports,
    window: ContextWindow,
    concurrency: int,
    lease_seconds: float,
    sweep_seconds: float,
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
            database, choose_model, ports.personas, window, lease_seconds, announce, recollect
        ),
        AnswerMessage(database, stream, claims, end, queue, recollect),
        renew,
        ShowAgain(database, claims, renew),
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
    routes: Sequence[BaseRoute]
    health: HealthRoutes
    followers: Followers
    heartbeats: Heartbeats
    watch: WatchSessions
    hurry_to_watch: Hurry
    visits: Visits
    recheck: RecheckCallers
    clear_strays: ClearStrays


def build_retention(ports: Ports, days: float) -> ForgetSessions:
    database = ports.open_unit_of_work
    clear_strays = ClearStrays(database, ports.files)
    announce = AnnounceTo(ports.listeners)
    return ForgetSessions(database, announce, ports.cache, clear_strays, days)


def build_asker(database: OpenUnitOfWork, admission: Admission, *, any_key: bool = False) -> Asker:
    by_token = IdentifyByToken(database, admission.tokens)
    credentials = ReadCredentials(by_token, IdentifyByTicket(database))
    if admission.required:
        return LockedDoor(credentials)
    return OpenDoor(credentials, EnterOpenly(database), any_key)


def account_routes(
    database: OpenUnitOfWork, ids: Ids, who: Asker, admission: Admission
) -> Sequence[BaseRoute]:
    passwords, tokens = admission.passwords, admission.tokens
    begin = BeginSignIn(tokens, ids)
    accounts = AccountRoutes(
        who,
        Register(database, passwords, begin),
        LogIn(database, passwords, begin),
        RefreshSignIn(database, tokens),
        ProlongSignIn(database, tokens),
        LogOut(database),
        ReadUser(database),
        MakeTicket(database, ids),
    )
    api_tokens = ApiTokenRoutes(
        who, MakeApiToken(database, ids), ListApiTokens(database), DeleteApiToken(database)
    )
    return [*accounts.routes(), *api_tokens.routes()]


def file_routes(
    ports: Ports, who: Asker, limits: FileLimits, clear_strays: ClearStrays
) -> Sequence[BaseRoute]:
    database, store = ports.open_unit_of_work, ports.files
    read = ReadFile(database)
    return FileRoutes(
        who,
        UploadFile(database, store, ports.documents, limits, ports.ids, clear_strays),
        ListFiles(database),
        read,
        ReadContent(read, store),
        DeleteFile(database, clear_strays),
    ).routes()


def build_web(
    ports: Ports,
    admission: Admission,
    sync_timeout: float,
    file_limits: FileLimits,
    origins: Origins,
    pages: Pages,
) -> Web:
    """`sync_timeout`: seconds that a request waits for its whole answer. `origins`: whose pages may
    ask."""
    database, stream, wake_ups = ports.open_unit_of_work, ports.stream, ports.wake_ups
    announce = AnnounceTo(ports.listeners)
    models, personas, ids, cache = ports.models, ports.personas, ports.ids, ports.cache
    choose_model = ChooseModel(models)
    who = build_asker(database, admission)
    followers, heartbeats, visits = Followers(), Heartbeats(), Visits()
    streams = Streams(heartbeats, visits)
    follow_session = FollowSession(database, stream, followers)
    follow_generation = FollowGeneration(database, stream, followers)
    open_session = OpenSession(database, choose_model, personas, ids)
    store_generation = StoreGeneration(choose_model, personas)
    submit = SubmitMessage(database, ports.queue, store_generation, ids, announce)
    end = EndGeneration(database, stream, ports.queue, announce)
    stop = StopGeneration(database, end, wake_ups)
    clear_strays = ClearStrays(database, ports.files)
    health = HealthRoutes(database, ports.queue, stream)
    delete_session = DeleteSession(database, stream, wake_ups, announce, cache, clear_strays)
    sessions = SessionRoutes(
        who,
        open_session,
        ListSessions(database),
        ReadSession(database),
        ChangeSession(database, choose_model, personas, cache),
        delete_session,
    )
    messages = MessageRoutes(
        who,
        ReadMessages(database),
        ClearHistory(database, cache),
        submit,
        RegenerateAnswer(database, ports.queue, store_generation, ids),
        AwaitAnswer(database, follow_generation, sync_timeout),
        follow_generation,
        streams,
    )
    list_personas = ListPersonas(database, personas)
    persona_routes = PersonaRoutes(who, list_personas, ChooseDefaultPersona(database, personas))
    enter = EnterByName(database)
    quick_start = QuickStartRoutes(
        who,
        enter,
        open_session,
        AskAndHear(who, enter, ChooseRole(personas), submit, follow_generation, streams),
        sessions.read_session,
        messages.read_messages,
        messages.clear_history,
        ListRoles(list_personas, personas),
    )
    read_generation = ReadGeneration(database, stream)
    generations = GenerationRoutes(who, read_generation, stop)
    list_models = ListModels(database, models)
    caller_of_openai = build_asker(database, admission, any_key=True)
    submit_call = SubmitCall(database, ports.queue, store_generation, ids, announce)
    chat_completions = ChatCompletions(
        caller_of_openai, submit_call, messages.await_answer, follow_generation, streams
    )
    responses = Responses(
        caller_of_openai,
        submit_call,
        ContinueCall(database),
        ReadCall(database, read_generation),
        read_generation,
        messages.await_answer,
        AwaitAnswer(database, follow_generation, min(sync_timeout, STOP_SECONDS)),
        stop,
        delete_session,
        follow_generation,
        streams,
    )
    apis = ApiConfigRoutes(
        who,
        AddApi(database, models),
        ListApis(database),
        ReadFirstApi(database),
        ReadNamedApi(database),
        ChangeApi(database, models, cache),
        DeleteApi(database, cache),
        TryApi(database, models),
        list_models,
    )
    routes = [
        *health.routes(),
        *PageRoutes(Shelf(assets_of(pages.chat), CONTENT_SECURITY_POLICY)).routes(),
        *docs_routes(pages.docs),
        *PlainPageRoutes(pages.plain).routes(),
        *account_routes(database, ids, who, admission),
        *sessions.routes(),
        *messages.routes(),
        *persona_routes.routes(),
        *quick_start.routes(),
        *apis.routes(),
        *chat_completions.routes(),
        *responses.routes(),
        *OpenAIModelRoutes(caller_of_openai, list_models).routes(),
        *file_routes(ports, who, file_limits, clear_strays),
        *sse_routes(who, follow_session, follow_generation, streams),
        *generations.routes(),
        *WebSocketDoor(who, open_session, follow_session, submit, stop, visits).routes(),
    ]
    routes += openapi_routes(routes)
    watch = WatchSessions(database, followers)
    recheck = RecheckCallers(database, visits)
    app = build_app(routes, origins)
    hurry = Hurry(STREAM_AWAY_WATCH_SECONDS, lambda: stream.away)
    return Web(
        app, routes, health, followers, heartbeats, watch, hurry, visits, recheck, clear_strays
    )
