// Listens to the messages of the extension, and shows them.
"use strict";

const MOST_MESSAGES = 20;
const NEWEST_VERSION = 1; // of the messages' form that this page understands

const query = new URLSearchParams(window.location.search);
const state = document.getElementById("state");
const messages = document.getElementById("messages");

// Twitch's app has a narrow, tall view of the same page.
document.body.classList.toggle("mobile", query.get("platform") === "mobile");

function show(text) {
  const line = document.createElement("li");
  line.textContent = text; // never innerHTML: a message is somebody else's text
  messages.prepend(line);
  while (messages.children.length > MOST_MESSAGES) {
    messages.lastElementChild.remove();
  }
}

// What /send/ and rules send: {"type": text, "data": object, "version": number}.
function receive(_target, _contentType, text) {
  let message;
  try {
    message = JSON.parse(text);
  } catch {
    return; // not of the backend's making
  }
  if (message === null || typeof message !== "object" || !(message.version <= NEWEST_VERSION)) {
    return; // of a later form
  }
  show(`${message.type}: ${JSON.stringify(message.data)}`);
}

function configure() {
  const segment = window.Twitch.ext.configuration.global;
  if (!segment) {
    return;
  }
  try {
    const theme = JSON.parse(segment.content).theme;
    document.body.classList.toggle("dark", theme === "dark");
  } catch {
    // A content that is no JSON changes nothing.
  }
}

if (window.Twitch && window.Twitch.ext) {
  window.Twitch.ext.listen("broadcast", receive);
  window.Twitch.ext.listen("global", receive);
  window.Twitch.ext.configuration.onChanged(configure);
  window.Twitch.ext.onAuthorized((auth) => {
    state.textContent = `Listening on channel ${auth.channelId}.`;
  });
} else {
  state.textContent = "Twitch's extension helper was not loaded.";
}
