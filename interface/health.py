from dataclasses import dataclass, field
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from application.ports import EventStream, OpenUnitOfWork, RequestQueue
from domain.errors import ChatError
from interface.ending import Restarting
from interface.problems import problem_of
from interface.replies import json_reply, problem_reply
from interface.request_id import request_id_of
from interface.wire.answers import HealthJson, ReadinessJson


async def _health(_: Request) -> Response:
    healthy: HealthJson = {"status": "ok"}
    return json_reply(healthy)


HEALTHZ: Final = Route("/healthz", _health)


@dataclass(slots=True, eq=False)
class HealthRoutes:
    """`/healthz`: the process answers. `/readyz`: it can take requests, which without the queue and
    the event stream takes longer."""

    open_unit_of_work: OpenUnitOfWork
    queue: RequestQueue
    stream: EventStream
    draining: bool = field(default=False, init=False)

    def routes(self) -> list[BaseRoute]:
        return [HEALTHZ, Route("/readyz", self.ready)]

    async def ready(self, request: Request) -> Response:
        try:
            if self.draining:
                raise Restarting
            async with self.open_unit_of_work(read_only=True) as work:
                await work.sessions.reached(())
        except ChatError as error:
            return problem_reply(problem_of(error, "/readyz", request_id_of(request.scope)))
        away = self.queue.away or self.stream.away
        ready: ReadinessJson = {
            "status": "degraded" if away else "ready",
            "database": "ok",
            "queue": "away" if away else "ok",
        }
        return json_reply(ready)
