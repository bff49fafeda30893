"""`twitch-operator authorize`: a broadcaster's consent, handed over to the operator.

It writes the Secret that the channel names for its input, never the one with the tokens, and
refreshes nothing: what becomes of the consent, the operator decides, and the status tells.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from controller.clients.http import new_http_client
from controller.clients.identity import Identity, authorize_url
from controller.commands.consent.browser import ask_in_browser
from controller.commands.consent.channel import open_channel
from controller.commands.consent.outcomes import Request, judge_authorization
from controller.commands.consent.redirects import DEFAULT_REDIRECT_URI, parse_redirect
from controller.commands.terminal import open_browser, say
from controller.errors import OperatorError, RedirectRefused, TransientError
from controller.logs import set_up_logging
from controller.resources.kind import REQUESTED_AT
from controller.settings import Settings

if TYPE_CHECKING:
    from controller.clients.identity import Application
    from controller.commands.consent.channel import Channel
    from controller.commands.consent.outcomes import Verdict
    from controller.commands.consent.redirects import Redirect
    from controller.resources.authorization import Authorization
    from controller.resources.twitchchannel import TwitchChannelStatus
    from controller.sensitive import Sensitive

__all__ = ["Options", "authorize"]


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for.

    Attributes:
        name: Of the TwitchChannel.
        namespace: None: that of the context.
        context: Of the kubeconfig; None: the current one.
        use_browser: Open one.
        redirect_uri: For an imported refresh token; None: the usual one.
        timeout: Seconds to wait for the consent, and for the operator.
    """

    name: str
    namespace: str | None
    context: str | None
    use_browser: bool
    redirect_uri: str | None
    timeout: float


def authorize(options: Options) -> None:
    """Let the broadcaster of a channel consent, and wait for the operator to take it.

    Raises:
        OperatorError: It is not; the message names the remedy.
    """
    settings = Settings.from_environment(os.environ)
    set_up_logging(settings.log_level, settings.log_format)
    say(asyncio.run(_authorize(options, settings)))


async def _authorize(options: Options, settings: Settings) -> str:
    async with open_channel(options.name, options.namespace, options.context) as channel:
        way = channel.spec.authorization
        redirect = _redirect(way, options.redirect_uri)
        await channel.dry_run(way.secret_key_ref, REQUESTED_AT)
        if redirect is not None and way.secret_key_ref is not None:
            app = await _confidential(channel)
            given = await _ask(channel, app, redirect, options, settings)
            if way.refresh_token is not None:
                given = await _exchange(app, given, redirect, settings)
            await channel.hand_over(way.secret_key_ref, given)
        return await _wait(channel, options)


def _redirect(way: Authorization, wanted: str | None) -> Redirect | None:
    """Where the browser is sent; None: a device code needs no such place."""
    if way.refresh_token is not None:
        return parse_redirect(wanted or DEFAULT_REDIRECT_URI)
    fixed = way.authorization_code.redirect_uri if way.authorization_code is not None else None
    if wanted not in (None, fixed):
        msg = (
            "--redirect-uri is for a channel with spec.authorization.refreshToken, and this one has"
            f" {way.way}: leave it out"
        )
        raise OperatorError(msg)
    return parse_redirect(fixed) if fixed is not None else None


async def _confidential(channel: Channel) -> Application:
    app = await channel.application()
    if app.secret is None:
        msg = (
            f"Secret {channel.spec.app.secret_ref.name} has no client-secret, and Twitch exchanges"
            f" no code of a public client ({channel.spec.authorization.way} needs that): set"
            " spec.authorization to deviceCode: {}, or add the client-secret"
        )
        raise OperatorError(msg)
    return app


async def _ask(
    channel: Channel, app: Application, redirect: Redirect, options: Options, settings: Settings
) -> Sensitive:
    state = secrets.token_urlsafe(32)
    # Verified each time: who is signed in by chance must not consent unseen.
    url = authorize_url(
        settings.identity_url,
        app.client_id,
        redirect.uri,
        channel.spec.wanted_scopes,
        state,
        force_verify=True,
    )
    return await ask_in_browser(
        url, redirect, state, use_browser=options.use_browser, patience=options.timeout
    )


async def _exchange(
    app: Application, code: Sensitive, redirect: Redirect, settings: Settings
) -> Sensitive:
    """The refresh token of a consent; the access token is thrown away."""
    async with new_http_client(settings) as http:
        try:
            tokens = await Identity(http, settings).exchange_code(app, code, redirect.uri)
        except RedirectRefused as error:
            msg = f"{error}. Give the redirect URI that the application registered: --redirect-uri"
            raise OperatorError(msg) from None
        except TransientError as error:
            msg = f"{error}. Run the command again"
            raise OperatorError(msg) from None
    if tokens.refresh is None:
        msg = "Twitch gave no refresh token: run the command again"
        raise OperatorError(msg)
    return tokens.refresh


async def _wait(channel: Channel, options: Options) -> str:
    before = channel.status.conditions
    request = Request(
        channel=channel.name,
        value=await channel.ask(REQUESTED_AT),
        by_device=channel.spec.authorization.device_code is not None,
        before=before,
    )
    say(f"Waiting for the operator to take it, in namespace {channel.namespace}.")

    def judge(status: TwitchChannelStatus) -> Verdict:
        return judge_authorization(status, request, time.time())

    if options.use_browser:
        return await channel.wait(judge, options.timeout, open_browser)
    return await channel.wait(judge, options.timeout)
