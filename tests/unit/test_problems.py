"""What keeps a channel from its grant: each problem has its reason, and its message a remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from controller.policies import problems

if TYPE_CHECKING:
    from controller.policies.problems import Blocked

COMMAND = "kubectl twitch authorize -n tv mst3k"
ANEW = problems.consent_anew(COMMAND)
TOLD = "Twitch answered 400: no"
FIELD = "spec.authorization.refreshToken.secretKeyRef"


@pytest.mark.parametrize(
    ("problem", "reason", "human", "said"),
    [
        (problems.missing_secret("spec.app.secretRef", "app", "tv", "client-id and client-secret"),
         "SecretNotFound", False,
         ["spec.app.secretRef: Secret app does not exist in namespace tv",
          "create it with the keys client-id and client-secret"]),
        (problems.missing_secret(FIELD, "grant", "tv", "refresh-token", COMMAND),
         "SecretNotFound", False,
         [f"{FIELD}: Secret grant ", f"run {COMMAND}, or create it with the key refresh-token"]),
        (problems.foreign_secret("spec.token.secretName", "mine"),
         "Conflict", True,
         ["spec.token.secretName: Secret mine ", "delete it, or set another name"]),
        (problems.client_rejected(TOLD, "app"),
         "ClientRejected", True, [TOLD, "in Secret app (spec.app.secretRef)", "Correct client-id"]),
        (problems.redirect_refused(TOLD),
         "ClientRejected", True,
         [TOLD, "Set spec.authorization.authorizationCode.redirectUri", "dev.twitch.tv/console"]),
        (problems.code_refused(TOLD, ANEW),
         "AuthorizationRevoked", True, [TOLD, "was used before, has run out", COMMAND]),
        (problems.token_refused(TOLD, ANEW),
         "AuthorizationRevoked", True,
         [TOLD, COMMAND, "or put a new refresh token into the Secret of spec.authorization.ref"]),
        (problems.revoked(TOLD, ANEW),
         "AuthorizationRevoked", True, [TOLD, "changed password", "disconnected app", COMMAND]),
        (problems.left(ANEW),
         "AuthorizationRevoked", True, ["twitch-operator.dev/revokeRequestedAt", COMMAND]),
        (problems.pending(problems.type_code("https://twitch.tv/x", "ABCD", 0.0)),
         "AuthorizationPending", False,
         ["https://twitch.tv/x", "type ABCD", "a new code is shown"]),
    ],
    ids=[
        "app", "input", "foreign", "client", "redirect", "code", "token", "revoked", "left",
        "pending",
    ],
)  # fmt: skip
def test_each_problem_has_its_reason_and_says_what_to_do(
    problem: Blocked, reason: str, human: bool, said: list[str]
) -> None:
    assert (problem.reason, problem.human) == (reason, human)
    for words in said:
        assert words in problem.message
    assert ".." not in problem.message
    assert "  " not in problem.message


def test_a_code_to_type_says_where_what_and_until_when() -> None:
    assert problems.type_code("https://www.twitch.tv/activate", "ABCD-EFGH", 1_700_000_000.4) == (
        "let the broadcaster open https://www.twitch.tv/activate and type ABCD-EFGH until"
        " 2023-11-14T22:13:20Z"
    )


def test_a_used_code_a_wrong_redirect_uri_and_a_wrong_client_are_told_apart() -> None:
    told = {
        problems.code_refused(TOLD, ANEW).message,
        problems.redirect_refused(TOLD).message,
        problems.client_rejected(TOLD, "app").message,
    }
    assert len(told) == 3
    assert [message for message in told if COMMAND in message] == [
        problems.code_refused(TOLD, ANEW).message
    ]
