"""Where the probes cannot be served."""

from __future__ import annotations

import socket

import pytest
from prometheus_client import CollectorRegistry

from controller.errors import SettingsError
from controller.runtime.probes import serve_probes
from controller.settings import Settings


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        (("health_address",), "TWITCH_OPERATOR_HEALTH_ADDRESS"),
        (("metrics_address",), "TWITCH_OPERATOR_METRICS_ADDRESS"),
        (
            ("health_address", "metrics_address"),
            "TWITCH_OPERATOR_HEALTH_ADDRESS and TWITCH_OPERATOR_METRICS_ADDRESS",
        ),
    ],
)
async def test_an_address_in_use_is_told_by_its_setting_and_who_may_have_it(
    fields: tuple[str, ...], names: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        settings = Settings.model_validate(dict.fromkeys(fields, address))
        with pytest.raises(SettingsError) as refused:
            async with serve_probes(settings, CollectorRegistry(), lambda: True, lambda: True):
                pass
    told = str(refused.value)
    assert told.startswith(f"{names}: cannot listen on '{address}' (host:port): Address already")
    assert "If another twitch-operator serves there, end one of the two" in told
    assert "Errno" not in told
