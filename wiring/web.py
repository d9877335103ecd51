from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from application.announce import AnnounceTo
from application.clear_strays import ClearStrays
from application.following import Followers
from application.forget_sessions import ForgetSessions
from application.seats import Seats
from application.visits import RecheckCallers, Visits
from application.watch_sessions import WatchSessions
from interface.app import build_app
from interface.health import HealthRoutes
from interface.heartbeats import Heartbeats
from interface.metrics import MetricsRoutes, Scrape, measure_nothing
from interface.openapi.routes import openapi_routes
from interface.origins import Origins
from interface.repeat import Hurry
from interface.sse import Streams
from wiring.asker import build_asker, build_paces
from wiring.behind import build_behind
from wiring.doors import (
    account_routes,
    file_routes,
    message_routes,
    model_routes,
    openai_routes,
    page_routes,
    persona_routes,
    quick_start_routes,
    session_routes,
    socket_routes,
)
from wiring.given import Admission, Bounds, Pages, Ports

STREAM_AWAY_WATCH_SECONDS: Final = 0.5
"""Between two looks at the database while it is what shows the answers."""


@dataclass(frozen=True, slots=True)
class Web:
    """The doors, and what runs beside them."""

    app: ASGIApp
    routes: Sequence[BaseRoute]
    health: HealthRoutes
    seats: Seats
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


def build_web(
    ports: Ports,
    admission: Admission,
    bounds: Bounds,
    origins: Origins,
    pages: Pages,
    scrape: Scrape = measure_nothing,
) -> Web:
    """`origins`: whose pages may ask."""
    database, stream = ports.open_unit_of_work, ports.stream
    followers, heartbeats, visits = Followers(), Heartbeats(), Visits()
    seats = Seats(ports.seats, bounds.streams_per_user)
    streams = Streams(heartbeats, visits, seats)
    behind = build_behind(ports, followers, bounds)
    paces = build_paces(ports, admission)
    who = build_asker(database, admission, paces)
    caller_of_openai = build_asker(database, admission, paces, any_key=True)
    health = HealthRoutes(database, ports.queue, stream)
    routes = [
        *health.routes(),
        *MetricsRoutes(scrape).routes(),
        *page_routes(pages),
        *account_routes(ports, who, admission),
        *session_routes(ports, who, behind),
        *message_routes(ports, who, behind, streams),
        *persona_routes(ports, who, behind),
        *model_routes(ports, who, behind),
        *file_routes(ports, who, behind, bounds.files),
        *quick_start_routes(ports, who, behind, streams),
        *openai_routes(ports, caller_of_openai, behind, streams),
        *socket_routes(who, behind, visits, seats, paces),
    ]
    routes += openapi_routes(routes)
    return Web(
        build_app(routes, origins, ports.spans),
        routes,
        health,
        seats,
        followers,
        heartbeats,
        WatchSessions(database, followers),
        Hurry(STREAM_AWAY_WATCH_SECONDS, lambda: stream.away),
        visits,
        RecheckCallers(database, visits),
        behind.clear_strays,
    )
