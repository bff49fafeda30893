"""Faults on order: what goes wrong, for which calls, and how often. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from http import HTTPStatus
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from controller.sandbox.twitch.wire import Answer, json_answer

__all__ = ["Fault", "FaultPlan", "OrderedFault"]


class Fault(BaseModel):
    """What goes wrong with the calls that match; unset parts stay as they would have been.

    A fault `before` comes in place of the action: nothing is started, no token is used up. A fault
    `after` comes when the action is done, so that the caller alone does not know. A fault that
    neither answers nor drops (only delays, or only adds headers) lets the call act in any case:
    `when` then says on which side of the action the delay lies.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str = Field("*", description="HTTP method, or * for any.")
    path: str = Field("*", description="Such as /helix/channels/commercial; * matches any part.")
    login: str | None = Field(None, description="Only calls with this broadcaster's credential.")
    times: int | None = Field(1, ge=1, description="So many calls; null: until it is cleared.")
    status: int | None = Field(None, ge=200, le=599, description="Answer with this status.")
    body: Any = Field(
        None, description="Body of that answer: text as it is, anything else as JSON."
    )
    headers: dict[str, str] = Field(default_factory=dict, description="Headers of the answer.")
    delay: float = Field(0, ge=0, description="Seconds to wait.")
    drop: bool = Field(False, description="Drop the connection without an answer.")
    when: Literal["before", "after"] = Field("before", description="Before or after acting.")

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if self.status is None and not (self.headers or self.delay or self.drop):
            msg = "the fault does nothing: give status, headers, delay or drop"
            raise ValueError(msg)
        if self.body is not None and self.status is None:
            msg = "body needs a status"
            raise ValueError(msg)
        if self.drop and self.status is not None:
            msg = "drop sends no answer: leave status out"
            raise ValueError(msg)
        return self

    def matches(self, method: str, path: str, login: str) -> bool:
        """Whether a call is one of those that this fault is for."""
        return (
            self.method in ("*", method)
            and fnmatchcase(path, self.path)
            and (self.login is None or self.login.lower() == login)
        )

    def answer(self) -> Answer | None:
        """The answer that takes the place of the real one; None to keep that."""
        if self.status is None:
            return None
        if isinstance(self.body, str):
            return Answer(self.status, self.body.encode(), {"Content-Type": "text/plain"})
        body = self.body
        if body is None:
            phrase = HTTPStatus(self.status).phrase if self.status in _STATUSES else "Error"
            body = {"error": phrase, "status": self.status, "message": ""}
        return json_answer(self.status, body)


_STATUSES = frozenset(HTTPStatus)


@dataclass(slots=True)
class OrderedFault:
    """A fault in the plan.

    Attributes:
        id: To clear it by.
        fault: What was ordered.
        hits: Calls that it has struck.
    """

    id: int
    fault: Fault
    hits: int = 0


class FaultPlan:
    """The faults under order; of several that match, the first ordered one strikes."""

    def __init__(self) -> None:
        self._orders: list[OrderedFault] = []
        self._last_id = 0

    def order(self, fault: Fault) -> int:
        """Add a fault.

        Returns:
            Its id.
        """
        self._last_id += 1
        self._orders.append(OrderedFault(self._last_id, fault))
        return self._last_id

    def take(self, method: str, path: str, login: str) -> Fault | None:
        """The fault that strikes this call, counted; None for most calls."""
        for order in self._orders:
            if order.fault.matches(method, path, login):
                order.hits += 1
                if order.hits == order.fault.times:
                    self._orders.remove(order)
                return order.fault
        return None

    def pending(self) -> list[OrderedFault]:
        """What may still strike, in the order it was ordered."""
        return list(self._orders)

    def clear(self, order_id: int | None = None) -> int:
        """Take back one fault, or all.

        Returns:
            How many there were.
        """
        kept = [order for order in self._orders if order_id not in (None, order.id)]
        cleared = len(self._orders) - len(kept)
        self._orders = kept
        return cleared
