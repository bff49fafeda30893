// What is yours. Nothing secret belongs here: anybody who opens the extension can read it.
window.PANEL = {
  gateway: "https://ebs.example.com", // where `twitch-operator gateway` is reached, without a / at the end
  version: "1.3.0", // of the extension: spec.version of the ExtensionApp
};
