"""How the simulator's own endpoints under /_sandbox work; `endpoints` says which there are.

Bodies and answers are JSON; a mistake is answered with 400, 404 or 409 and `{"error": "…"}`.
"""

from __future__ import annotations

import json
from collections.abc import Callable  # noqa: TC003 - part of a public dataclass
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from controller.sandbox.orders import complaint, described, surplus
from controller.sandbox.twitch.wire import Answer, Refusal, json_answer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from controller.sandbox.twitch.wire import Call
    from controller.sandbox.twitch.world import Twitch

__all__ = ["ROOT", "Ask", "Body", "Endpoint", "handle"]

ROOT = "/_sandbox"


class Body(BaseModel):
    """Fields of a JSON body; a field that is none of them is refused."""

    model_config = ConfigDict(extra="forbid")


BodyT = TypeVar("BodyT")


@dataclass(frozen=True, slots=True)
class Ask(Generic[BodyT]):
    """What an endpoint is asked.

    Attributes:
        twitch: Whom it concerns.
        name: The variable segment of the path, "" where it has none.
        body: The fields; None where the endpoint takes none.
        call: For query parameters.
    """

    twitch: Twitch
    name: str
    body: BodyT
    call: Call


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one path.

    Attributes:
        method: HTTP method.
        path: `{…}` stands for the one variable segment.
        does: A sentence for the list that GET /_sandbox gives.
        act: Gives the JSON to answer.
        body: The fields it takes; None: no body.
        query: The query parameters it takes.
    """

    method: str
    path: str
    does: str
    act: Callable[[Ask[Any]], Any]
    body: type[BaseModel] | None = None
    query: tuple[str, ...] = ()

    def match(self, path: str) -> str | None:
        """The variable segment, "" for a path without one; None: this is another path."""
        before, opening, rest = self.path.partition("{")
        if not opening:
            return "" if path == self.path else None
        after = rest.partition("}")[2]
        if not (path.startswith(before) and path.endswith(after)):
            return None
        name = path[len(before) : len(path) - len(after)]
        return name if name and "/" not in name else None

    def read(self, query: str, raw: bytes) -> BaseModel | None:
        """The fields of a body.

        Raises:
            Refusal: 400, they or the query are not what the endpoint takes.
        """
        told = surplus(query, self.query, raw, takes_body=self.body is not None)
        if told is not None:
            raise Refusal(400, told)
        if self.body is None:
            return None
        try:
            return self.body.model_validate(json.loads(raw or b"{}"))
        except ValidationError as error:
            raise Refusal(400, complaint(error, self.body)) from None
        except (ValueError, RecursionError):
            raise Refusal(400, "the body is not JSON") from None

    def describe(self) -> dict[str, Any]:
        """What it takes and does, for the list."""
        return described(self.method, self.path, self.does, self.body)


def handle(endpoints: Iterable[Endpoint], twitch: Twitch, call: Call) -> Answer:
    """Answer one call to /_sandbox or below."""
    path = call.path.rstrip("/")
    try:
        for endpoint in endpoints:
            name = endpoint.match(path) if endpoint.method == call.method else None
            if name is not None:
                ask = Ask(twitch, name, endpoint.read(call.query, call.body), call)
                return json_answer(200, endpoint.act(ask))
        raise Refusal(404, f"no {call.method} {call.path}: GET {ROOT} lists what there is")
    except Refusal as refusal:
        return json_answer(refusal.status, {"error": refusal.message})
