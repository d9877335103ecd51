"""The doors, an area a function, each with the use cases that it alone has."""

from collections.abc import Sequence
from typing import Final

from starlette.routing import BaseRoute

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
from application.browse import ListSessions
from application.change_session import ChangeSession
from application.continue_call import ContinueCall
from application.enter import EnterByName
from application.files import DeleteFile, ListFiles, ReadContent, ReadFile
from application.identify import MakeTicket
from application.personas import ChooseDefaultPersona, ChooseRole, ListRoles
from application.read_call import ReadCall
from application.regenerate_answer import RegenerateAnswer
from application.seats import Seats
from application.sign_in import (
    BeginSignIn,
    LogIn,
    LogOut,
    ProlongSignIn,
    ReadUser,
    RefreshSignIn,
    Register,
)
from application.submit_call import SubmitCall
from application.try_api import TryApi
from application.upload_file import UploadFile
from application.visits import Visits
from domain.uploaded_file import FileLimits
from interface.accounts import AccountRoutes
from interface.api_configs import ApiConfigRoutes
from interface.api_tokens import ApiTokenRoutes
from interface.asker import Asker
from interface.assets import Shelf, assets_of
from interface.attempts import Attempts
from interface.dialects.ask_and_hear import AskAndHear
from interface.dialects.chat_completions import ChatCompletions
from interface.dialects.openai_models import OpenAIModelRoutes
from interface.dialects.plain_page import PlainPageRoutes
from interface.dialects.quick_start import QuickStartRoutes
from interface.dialects.responses import Responses
from interface.docs import docs_routes
from interface.files import FileRoutes
from interface.generations import GenerationRoutes
from interface.messages import MessageRoutes
from interface.pace import Paces
from interface.personas import PersonaRoutes
from interface.sessions import SessionRoutes
from interface.sse import Streams, sse_routes
from interface.web_page import CONTENT_SECURITY_POLICY, PageRoutes
from interface.websocket import WebSocketDoor
from wiring.behind import Behind
from wiring.given import Admission, Pages, Ports

_STOP_SECONDS: Final = 5.0
"""How long a dialect whose cancelled answers have ended waits for that."""


def page_routes(pages: Pages) -> Sequence[BaseRoute]:
    chat = PageRoutes(Shelf(assets_of(pages.chat), CONTENT_SECURITY_POLICY))
    return [*chat.routes(), *docs_routes(pages.docs), *PlainPageRoutes(pages.plain).routes()]


def account_routes(ports: Ports, who: Asker, admission: Admission) -> Sequence[BaseRoute]:
    database, ids = ports.open_unit_of_work, ports.ids
    passwords, tokens = admission.passwords, admission.tokens
    begin = BeginSignIn(tokens, ids)
    attempts = Attempts(
        ports.rate_limiter,
        admission.address_of,
        admission.guesses,
        admission.registrations,
        admission.of_address,
    )
    accounts = AccountRoutes(
        who,
        attempts,
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


def session_routes(ports: Ports, who: Asker, behind: Behind) -> Sequence[BaseRoute]:
    database = ports.open_unit_of_work
    return SessionRoutes(
        who,
        behind.open_session,
        ListSessions(database),
        behind.read_session,
        ChangeSession(database, behind.choose_model, ports.personas, ports.cache),
        behind.delete_session,
    ).routes()


def message_routes(
    ports: Ports, who: Asker, behind: Behind, streams: Streams
) -> Sequence[BaseRoute]:
    database = ports.open_unit_of_work
    messages = MessageRoutes(
        who,
        behind.read_messages,
        behind.clear_history,
        behind.submit_message,
        RegenerateAnswer(
            database,
            ports.queue,
            behind.store_generation,
            ports.ids,
            behind.announce,
            ports.spans,
        ),
        behind.await_answer,
        behind.follow_generation,
        streams,
    )
    generations = GenerationRoutes(who, behind.read_generation, behind.stop_generation)
    follow = sse_routes(who, behind.follow_session, behind.follow_generation, streams)
    return [*messages.routes(), *generations.routes(), *follow]


def socket_routes(
    who: Asker, behind: Behind, visits: Visits, seats: Seats, paces: Paces
) -> Sequence[BaseRoute]:
    return WebSocketDoor(
        who,
        behind.open_session,
        behind.follow_session,
        behind.submit_message,
        behind.stop_generation,
        visits,
        seats,
        paces,
    ).routes()


def persona_routes(ports: Ports, who: Asker, behind: Behind) -> Sequence[BaseRoute]:
    choose = ChooseDefaultPersona(ports.open_unit_of_work, ports.personas)
    return PersonaRoutes(who, behind.list_personas, choose).routes()


def model_routes(ports: Ports, who: Asker, behind: Behind) -> Sequence[BaseRoute]:
    database, models = ports.open_unit_of_work, ports.models
    return ApiConfigRoutes(
        who,
        AddApi(database, models),
        ListApis(database),
        ReadFirstApi(database),
        ReadNamedApi(database),
        ChangeApi(database, models, ports.cache),
        DeleteApi(database, ports.cache),
        TryApi(database, models),
        behind.list_models,
    ).routes()


def quick_start_routes(
    ports: Ports, who: Asker, behind: Behind, streams: Streams
) -> Sequence[BaseRoute]:
    enter, choose_role = EnterByName(ports.open_unit_of_work), ChooseRole(ports.personas)
    return QuickStartRoutes(
        who,
        enter,
        behind.open_session,
        AskAndHear(
            who, enter, choose_role, behind.submit_message, behind.follow_generation, streams
        ),
        behind.read_session,
        behind.read_messages,
        behind.clear_history,
        ListRoles(behind.list_personas, ports.personas),
    ).routes()


def openai_routes(
    ports: Ports, who: Asker, behind: Behind, streams: Streams
) -> Sequence[BaseRoute]:
    database, follow = ports.open_unit_of_work, behind.follow_generation
    submit_call = SubmitCall(
        database,
        ports.queue,
        behind.store_generation,
        ports.ids,
        behind.announce,
        ContinueCall(database),
        ports.spans,
    )
    completions = ChatCompletions(who, submit_call, behind.await_answer, follow, streams)
    responses = Responses(
        who,
        submit_call,
        ReadCall(database, behind.read_generation),
        behind.read_generation,
        behind.await_answer,
        AwaitAnswer(database, follow, min(behind.await_answer.seconds, _STOP_SECONDS)),
        behind.stop_generation,
        behind.delete_session,
        follow,
        streams,
    )
    models = OpenAIModelRoutes(who, behind.list_models)
    return [*completions.routes(), *responses.routes(), *models.routes()]


def file_routes(
    ports: Ports, who: Asker, behind: Behind, limits: FileLimits
) -> Sequence[BaseRoute]:
    database, store, clear_strays = ports.open_unit_of_work, ports.files, behind.clear_strays
    read = ReadFile(database)
    return FileRoutes(
        who,
        UploadFile(database, store, ports.documents, limits, ports.ids, clear_strays),
        ListFiles(database),
        read,
        ReadContent(read, store),
        DeleteFile(database, clear_strays),
    ).routes()
