"""Starts traces where they are wanted; elsewhere nothing of OpenTelemetry is imported."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from controller.tracing.tracer import NO_TRACER
from controller.tracing.variables import traces_wanted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from controller.tracing.tracer import Tracer

__all__ = ["traces"]

logger = logging.getLogger(__name__)

_MISSING = (
    "no traces are sent: the OpenTelemetry packages are missing; install twitch-operator[otel], or"
    " set OTEL_SDK_DISABLED=true (%s)"
)


@contextmanager
def traces(environment: Mapping[str, str]) -> Iterator[Tracer]:
    """Give a tracer, and send what it still has at the end.

    Args:
        environment: That of the process: OpenTelemetry's packages read it by themselves.
    """
    wanted = traces_wanted(environment)
    if wanted.problem:
        logger.warning("no traces are sent: %s", wanted.problem)
    if not wanted.on:
        yield NO_TRACER
        return
    try:
        from controller.tracing.export import Traces  # noqa: PLC0415 - an extra, and slow

        started = Traces()
    except ImportError as error:
        logger.warning(_MISSING, error)
        yield NO_TRACER
        return
    except ValueError as error:
        logger.warning("no traces are sent: a variable OTEL_… cannot be used: %s", error)
        yield NO_TRACER
        return
    try:
        yield started.tracer
    finally:
        started.close()
