// Tells the gateway that the broadcaster has set the extension up.
"use strict";

const state = document.getElementById("state");
const share = document.getElementById("share");
const finish = document.getElementById("finish");

// Twitch hands out a new token before the old one ends: the newest counts.
let auth = null;

// The remedy for each error of /setup/ that a broadcaster can do something about.
const SHARE = "Share your Twitch identity with the extension first.";
const REMEDIES = {
  account_not_linked: SHARE,
  missing_payload_key: SHARE, // the token has no user id
  unauthorized_role: "Only the broadcaster can finish the setup.",
  expired_signature: "The page was open for too long: reload it.",
  invalid_jwt: "The extension's secret is being replaced: try again in some minutes.",
};

async function setUp() {
  finish.disabled = true;
  state.textContent = "Finishing the setup.";
  try {
    const answer = await fetch(`${window.PANEL.gateway}/setup/`, {
      method: "POST",
      headers: {
        Authorization: `Bearer ${auth.token}`,
        "X-Twitch-Client-Id": auth.clientId,
        "X-Twitch-User-Id": auth.channelId,
        "X-Twitch-Extension-Version": window.PANEL.version,
      },
    });
    state.textContent = answer.ok ? "All is set up." : await problem(answer);
  } catch {
    // Not reached; or the page's origin is not among the ExtensionApp's allowedOrigins.
    state.textContent = "The backend was not reached: try again.";
  }
  finish.disabled = false;
}

async function problem(answer) {
  const body = await answer.json().catch(() => ({}));
  return REMEDIES[body.error] || `It did not work (${answer.status}): ${body.detail || "try again"}`;
}

function authorized(latest) {
  auth = latest;
  // Without the broadcaster's consent the token has no user id, and /setup/ refuses it.
  const linked = Boolean(window.Twitch.ext.viewer.id);
  share.hidden = linked;
  finish.disabled = !linked;
  state.textContent = linked ? "Ready to finish the setup." : SHARE;
}

if (window.Twitch && window.Twitch.ext) {
  share.addEventListener("click", () => window.Twitch.ext.actions.requestIdShare());
  finish.addEventListener("click", setUp);
  window.Twitch.ext.onAuthorized(authorized);
} else {
  state.textContent = "Twitch's extension helper was not loaded.";
}
