"""What a refusal of Twitch identity means, in Twitch's form and in OAuth's own."""

from __future__ import annotations

import httpx
import pytest

from controller.clients.identity_answers import DeviceWait, parse_device_wait, refusal
from controller.errors import ClientRejected, GrantDoubted, GrantRevoked, TransientError


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, {"message": "Invalid grant"}, GrantDoubted),
        (400, {"message": "InvalidGrant"}, GrantDoubted),
        (400, {"message": "invalid_grant"}, GrantDoubted),
        (400, {"message": "invalid grant type"}, TransientError),
        (400, {"error": "invalid_grant"}, GrantDoubted),
        (400, {"error": "invalid_grant", "message": ""}, GrantDoubted),
        (400, {"error": "invalid_grant", "error_description": "It is void"}, GrantDoubted),
        (400, {"error": "invalid_grant", "error_description": "Bad refresh token"}, GrantRevoked),
        (400, {"error": "Bad Request", "message": "Invalid grant"}, GrantDoubted),
        (400, {"error": "invalid_request"}, TransientError),
        (400, {"error": ["invalid_grant"]}, TransientError),
        (401, {"error": "invalid_client"}, ClientRejected),
    ],
)
def test_a_refusal_is_read_in_twitchs_form_and_in_oauths(
    status: int, body: dict[str, object], kind: type[Exception]
) -> None:
    assert type(refusal(httpx.Response(status, json=body))) is kind


def test_a_device_login_waits_by_oauths_own_code() -> None:
    answer = httpx.Response(400, json={"error": "authorization_pending"})
    assert parse_device_wait(answer) is DeviceWait.PENDING
