"""The use cases that stand behind several doors."""

from dataclasses import dataclass

from application.accepting import StoreGeneration
from application.announce import AnnounceTo
from application.await_answer import AwaitAnswer
from application.browse import ReadGeneration, ReadMessages, ReadSession
from application.change_session import ClearHistory, DeleteSession
from application.choose_model import ChooseModel
from application.clear_strays import ClearStrays
from application.end_generation import EndGeneration
from application.follow_session import FollowGeneration, FollowSession
from application.following import Followers
from application.list_models import ListModels
from application.open_session import OpenSession
from application.personas import ListPersonas
from application.stop_generation import StopGeneration
from application.submit_message import SubmitMessage
from wiring.given import Bounds, Ports


@dataclass(frozen=True, slots=True)
class Behind:
    announce: AnnounceTo
    choose_model: ChooseModel
    store_generation: StoreGeneration
    open_session: OpenSession
    read_session: ReadSession
    delete_session: DeleteSession
    read_messages: ReadMessages
    clear_history: ClearHistory
    submit_message: SubmitMessage
    read_generation: ReadGeneration
    stop_generation: StopGeneration
    follow_session: FollowSession
    follow_generation: FollowGeneration
    await_answer: AwaitAnswer
    list_models: ListModels
    list_personas: ListPersonas
    clear_strays: ClearStrays


def build_behind(ports: Ports, followers: Followers, bounds: Bounds) -> Behind:
    database, stream, wake_ups = ports.open_unit_of_work, ports.stream, ports.wake_ups
    models, personas, ids, cache = ports.models, ports.personas, ports.ids, ports.cache
    announce, choose_model = AnnounceTo(ports.listeners), ChooseModel(models)
    store_generation = StoreGeneration(choose_model, personas, bounds.room)
    end = EndGeneration(database, stream, ports.queue, announce)
    follow_generation = FollowGeneration(database, stream, followers)
    clear_strays = ClearStrays(database, ports.files)
    return Behind(
        announce=announce,
        choose_model=choose_model,
        store_generation=store_generation,
        open_session=OpenSession(database, choose_model, personas, ids),
        read_session=ReadSession(database),
        delete_session=DeleteSession(database, stream, wake_ups, announce, cache, clear_strays),
        read_messages=ReadMessages(database),
        clear_history=ClearHistory(database, cache),
        submit_message=SubmitMessage(
            database, ports.queue, store_generation, ids, announce, ports.spans
        ),
        read_generation=ReadGeneration(database, stream),
        stop_generation=StopGeneration(database, end, wake_ups),
        follow_session=FollowSession(database, stream, followers),
        follow_generation=follow_generation,
        await_answer=AwaitAnswer(database, follow_generation, bounds.sync_timeout),
        list_models=ListModels(database, models),
        list_personas=ListPersonas(database, personas),
        clear_strays=clear_strays,
    )
