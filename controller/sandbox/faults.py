"""Faults of the simulators: what goes wrong, for which requests, and how often.

A plan is an ordered list. A request meets the first fault that matches it and is not used up, and
uses it once; requests under the control path (`/_sandbox`) meet none.

The parts of a fault combine: `Fault(drop=True)` closes the connection before anything happened,
`Fault(drop=True, act=True)` does what was asked and loses the answer, `Fault(status=503, times=3)`
refuses three times, `Fault(delay=2)` is merely slow.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler, Middleware

__all__ = [
    "CONTROL_PATH",
    "Fault",
    "FaultPlan",
    "drop_connection",
    "fault_middleware",
]

CONTROL_PATH = "/_sandbox"


class Fault(BaseModel):
    """Something that goes wrong; JSON of the same fields is taken by the control endpoints."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str = Field("*", description="Such as POST; * stands for all.")
    path: str = Field("*", description="Glob over the decoded path without query; * crosses /.")
    times: int | None = Field(1, ge=1, description="Requests it hits; null: until it is cleared.")
    skip: int = Field(0, ge=0, description="Matching requests it lets pass first.")
    delay: float = Field(0, ge=0, description="Seconds before anything else happens.")
    act: bool = Field(False, description="Do what was asked before the fault shows.")
    status: int | None = Field(None, ge=200, le=599, description="Answer this instead.")
    body: Any = Field(None, description="With `status`: text is sent as it is, the rest as JSON.")
    headers: dict[str, str] = Field(default={}, description="With `status`: headers to add.")
    drop: bool = Field(False, description="Close the connection without an answer.")
    hang: bool = Field(False, description="Keep the connection open and never answer.")

    @model_validator(mode="after")
    def _at_most_one_end(self) -> Fault:
        if (self.status is not None) + self.drop + self.hang > 1:
            msg = "status, drop and hang exclude each other: keep one of them"
            raise ValueError(msg)
        if self.status is None and (self.body is not None or self.headers):
            msg = "body and headers belong to an answer: set status too"
            raise ValueError(msg)
        return self

    def matches(self, method: str, path: str) -> bool:
        """Say whether a request is one that this fault hits."""
        return self.method in ("*", method) and fnmatchcase(path, self.path)


class _Entry:
    """A fault with what is left of its counts."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.skip = fault.skip
        self.left = fault.times

    def use(self, method: str, path: str) -> bool:
        if not self.fault.matches(method, path):
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.left is not None:
            self.left -= 1
        return True


class FaultPlan:
    """The faults that are still to come, in order."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []

    def add(self, *faults: Fault) -> None:
        """Append faults to the plan."""
        self._entries.extend(_Entry(fault) for fault in faults)

    def clear(self) -> None:
        """Forget all faults."""
        self._entries.clear()

    def pending(self) -> list[Fault]:
        """Return what is left, in order: `times` and `skip` are what remains of them."""
        return [
            entry.fault.model_copy(update={"times": entry.left, "skip": entry.skip})
            for entry in self._entries
        ]

    def take(self, method: str, path: str) -> Fault | None:
        """Use the first fault that hits a request, once.

        Returns:
            The fault, or None where the request is to be served as usual.
        """
        for entry in self._entries:
            if entry.use(method, path):
                if entry.left == 0:
                    self._entries.remove(entry)
                return entry.fault
        return None


def fault_middleware(plan: FaultPlan) -> Middleware:
    """Make an aiohttp middleware that applies the plan to all but the control path."""

    @web.middleware
    async def apply(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith(CONTROL_PATH):
            return await handler(request)
        fault = plan.take(request.method, request.path)
        return await handler(request) if fault is None else await _suffer(fault, request, handler)

    return apply


async def _suffer(fault: Fault, request: web.Request, handler: Handler) -> web.StreamResponse:
    if fault.delay:
        await asyncio.sleep(fault.delay)
    if fault.status is None and not fault.drop and not fault.hang:
        return await handler(request)
    if fault.act:
        with contextlib.suppress(web.HTTPException):  # a refusal is an answer, which gets lost too
            await handler(request)
    if fault.drop:
        return drop_connection(request)
    if fault.hang:
        await asyncio.Event().wait()
    return _answer(fault)


def drop_connection(request: web.Request) -> web.Response:
    """Close a request's connection at once.

    Returns:
        A response for aiohttp and for records, which nobody receives; its status is 444.
    """
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=444)


def _answer(fault: Fault) -> web.Response:
    assert fault.status is not None  # noqa: S101 - for mypy: `_suffer` leaves only this case
    if isinstance(fault.body, str):
        text, kind = fault.body, "text/plain; charset=utf-8"
    else:
        text, kind = json.dumps(fault.body), "application/json; charset=utf-8"
    headers = {"Content-Type": kind, **fault.headers}
    body = b"" if fault.body is None else text.encode()
    return web.Response(status=fault.status, body=body, headers=headers)
