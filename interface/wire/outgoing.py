"""What clients are told: sessions, messages, generations, models, accounts, and the frames that are
no events."""

from collections.abc import Sequence

from application.accepting import Accepted
from application.api_tokens import MadeApiToken
from application.await_answer import Answered
from application.browse import Shown, WithFiles
from application.list_models import ModelList
from application.personas import PersonaList, Roles
from application.sign_in import SignedIn
from application.try_api import Trial
from domain.api_config import ApiConfig
from domain.api_token import ApiToken
from domain.chat_session import ChatSession
from domain.generation import Generation, GenerationStatus
from domain.identifiers import SessionId
from domain.message import Message
from domain.position import Position
from domain.secret import Secret
from domain.uploaded_file import UploadedFile
from domain.user import User
from interface.problems import ProblemJson
from interface.wire.answers import (
    AcceptedJson,
    AnsweredJson,
    ApiJson,
    ApiTokenJson,
    FileJson,
    GenerationJson,
    HistoryJson,
    MadeApiTokenJson,
    MessageJson,
    ModelsJson,
    PersonasJson,
    RolesJson,
    SessionJson,
    SignedInJson,
    StoppingJson,
    TicketJson,
    TrialJson,
    UserJson,
)
from interface.wire.encoding import close_cursor
from interface.wire.event_shapes import GoneEvent
from interface.wire.events import failure_json, usage_json
from interface.wire.frame_shapes import (
    AcceptedFrame,
    CancellingFrame,
    ErrorFrame,
    Opened,
    OpenedFrame,
)


def session_json(session: ChatSession) -> SessionJson:
    active = session.active
    return {
        "session_id": session.id,
        "title": session.title,
        "model_name": session.model_name,
        "persona": session.persona,
        "message_count": session.message_count,
        "created_at": session.created_at,
        "updated_at": session.updated_at,
        "active_generation": {"generation_id": active.generation_id, "status": active.status}
        if active
        else None,
    }


def session_cursor(last: ChatSession) -> str:
    return close_cursor(last.updated_at.isoformat(), last.id)


def message_json(message: Message) -> MessageJson:
    shown: MessageJson = {
        "id": message.id,
        "session_id": message.session_id,
        "role": message.role,
        "content": message.content,
        "created_at": message.created_at,
        "generation_id": message.generation_id,
    }
    if message.status is not None:
        shown["status"] = message.status
        shown["finish_reason"] = message.finish_reason
        shown["usage"] = usage_json(message.usage)
    return shown


def with_files_json(shown: WithFiles) -> MessageJson:
    told = message_json(shown.message)
    return {**told, "files": list(map(file_json, shown.files))} if shown.files else told


def message_cursor(last: WithFiles) -> str:
    return close_cursor(last.message.number)


def file_json(file: UploadedFile) -> FileJson:
    """`error` says why its text could not be read."""
    return {
        "id": file.id,
        "session_id": file.session_id,
        "file_name": file.name,
        "file_size": file.size,
        "file_type": file.media_type,
        "sha256": file.sha256,
        "is_processed": file.is_processed,
        "error": file.flaw,
        "created_at": file.created_at,
    }


def file_cursor(last: UploadedFile) -> str:
    return close_cursor(last.id)


def accepted_json(accepted: Accepted) -> AcceptedJson:
    return {
        "session_id": accepted.session_id,
        "message_id": accepted.message_id,
        "generation_id": accepted.generation_id,
        "status": GenerationStatus.QUEUED,
    }


def generation_json(shown: Shown) -> GenerationJson:
    generation, failure = shown.generation, shown.generation.failure
    return {
        "generation_id": generation.id,
        "session_id": generation.session_id,
        "status": generation.status,
        "attempt": generation.attempt,
        "model_name": generation.model_name,
        "text": shown.text,
        "finish_reason": generation.finish_reason,
        "usage": usage_json(generation.usage),
        "error": failure_json(failure, generation.id, generation.request_id) if failure else None,
        "message_id": generation.answer_id,
        "last_event_id": shown.position and str(shown.position),
        "created_at": generation.created_at,
        "started_at": generation.started_at,
        "ended_at": generation.ended_at,
    }


def api_json(config: ApiConfig) -> ApiJson:
    """Of the key its hint only."""
    return {
        "id": config.id,
        "name": config.name,
        "model_name": config.model_name,
        "base_url": config.base_url,
        "provider": config.provider,
        "key_hint": config.key_hint,
        "created_at": config.created_at,
        "updated_at": config.updated_at,
    }


def api_cursor(last: ApiConfig) -> str:
    return close_cursor(last.id)


def trial_json(trial: Trial) -> TrialJson:
    return {"ok": trial.ok, "latency_ms": trial.latency_ms, "detail": trial.detail}


def models_json(listed: ModelList) -> ModelsJson:
    return {
        "models": [
            {"model_name": model.name, "provider": model.provider, "source": model.source}
            for model in listed.models
        ],
        "default": listed.default,
    }


def user_json(user: User) -> UserJson:
    return {"id": user.id, "username": user.username, "created_at": user.created_at}


def signed_in_json(signed_in: SignedIn) -> SignedInJson:
    return {**signed_in_by_cookie_json(signed_in), "refresh_token": signed_in.refresh.reveal()}


def signed_in_by_cookie_json(signed_in: SignedIn) -> SignedInJson:
    return {
        "user": user_json(signed_in.user),
        "access_token": signed_in.access.reveal(),
        "token_type": "bearer",
        "expires_in": signed_in.access_seconds,
    }


def ticket_json(ticket: Secret, seconds: int) -> TicketJson:
    return {"ticket": ticket.reveal(), "expires_in": seconds}


def api_token_json(token: ApiToken) -> ApiTokenJson:
    return {
        "id": token.id,
        "name": token.name,
        "hint": token.hint,
        "created_at": token.created_at,
        "expires_at": token.expires_at,
    }


def made_api_token_json(made: MadeApiToken) -> MadeApiTokenJson:
    """The one time that the token itself is shown."""
    return {**api_token_json(made.kept), "token": made.token.reveal()}


def api_token_cursor(last: ApiToken) -> str:
    return close_cursor(last.id)


def gone_json(session_id: SessionId) -> GoneEvent:
    return {"type": "gone", "session_id": session_id, "generation_id": None}


def opened_frame(kind: Opened, session_id: SessionId, position: Position) -> OpenedFrame:
    """`session`, `following` and `unfollowed`: where the stream of that session stands."""
    return {"type": kind, "session_id": session_id, "last_event_id": str(position)}


def answered_json(answered: Answered) -> AnsweredJson:
    generation = answered.generation
    return {
        "session_id": generation.session_id,
        "generation_id": generation.id,
        "message": message_json(answered.message) if answered.message else None,
        "finish_reason": generation.finish_reason,
        "usage": usage_json(generation.usage),
    }


def stopping_json(generation: Generation) -> StoppingJson:
    return {"generation_id": generation.id, "status": generation.status}


def cancelling_frame(generation: Generation) -> CancellingFrame:
    return {
        "type": "cancelling",
        "session_id": generation.session_id,
        "generation_id": generation.id,
    }


def history_json(messages: Sequence[Message], total: int) -> HistoryJson:
    """As the quick-start routes tell it."""
    return {
        "messages": [
            {"role": each.role, "content": each.content, "timestamp": each.created_at}
            for each in messages
        ],
        "total": total,
    }


def roles_json(roles: Roles) -> RolesJson:
    return {"roles": dict(roles.contents), "default_role": roles.default}


def personas_json(listed: PersonaList) -> PersonasJson:
    return {"personas": list(listed.names), "default": listed.default}


def accepted_frame(accepted: Accepted, client_message_id: str | None) -> AcceptedFrame:
    return {
        "type": "accepted",
        "session_id": accepted.session_id,
        "client_message_id": client_message_id,
        "message_id": accepted.message_id,
        "generation_id": accepted.generation_id,
    }


def error_frame(error: ProblemJson, client_message_id: str | None = None) -> ErrorFrame:
    frame: ErrorFrame = {"type": "error", "error": error}
    if client_message_id is not None:
        frame["client_message_id"] = client_message_id
    return frame
