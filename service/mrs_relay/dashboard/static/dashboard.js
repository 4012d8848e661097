// Keep pages up to date, and take keys. Everything else works without this file.
"use strict";

const EVERY_MS = 3000;
const keep = {
  get(name) { try { return localStorage.getItem(name); } catch { return null; } },
  set(name, value) { try { localStorage.setItem(name, value); } catch { /* a browser that keeps nothing */ } },
};

// Parts of a page that ask for themselves again do so on `tick`. A hidden page does not ask.
let paused = false;
setInterval(() => {
  if (!paused && document.visibilityState === "visible") htmx.trigger(document.body, "tick");
}, EVERY_MS);

const pause = document.getElementById("pause");
function setPaused(wanted) {
  paused = wanted;
  if (!pause) return;
  pause.setAttribute("aria-pressed", String(paused));
  pause.textContent = paused ? "Go on" : "Pause";
}
if (pause) pause.addEventListener("click", () => setPaused(!paused));

// What a reader has opened stays open when its part of the page comes again.
Idiomorph.defaults.ignoreActiveValue = true;
Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node) => !(node.tagName === "DETAILS" && name === "open");

const lost = document.getElementById("lost");
const noConnection = lost.textContent;
function warn(text) {
  lost.textContent = text;
  lost.hidden = false;
}
document.body.addEventListener("htmx:sendError", () => warn(noConnection));
document.body.addEventListener("htmx:responseError", (event) => {
  if (event.detail.xhr.status === 401) {
    location.reload(); // the session is over: show no longer what it was allowed to see, and ask who reads
    return;
  }
  warn(`mrs-relay refused this (${event.detail.xhr.status}); reload the page.`);
});
document.body.addEventListener("htmx:afterOnLoad", () => { lost.hidden = true; });

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}
function switchTheme() {
  const theme = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  keep.set("mrs-relay-theme", theme);
}
document.getElementById("theme").addEventListener("click", switchTheme);

const keys = document.getElementById("keys");
const single = document.getElementById("single-keys");
document.getElementById("help").addEventListener("click", () => keys.showModal());
single.checked = keep.get("mrs-relay-keys") !== "off";
single.addEventListener("change", () => keep.set("mrs-relay-keys", single.checked ? "on" : "off"));

function step(by) {
  const links = [...document.querySelectorAll("table.rows a.open")];
  if (!links.length) return;
  const at = links.indexOf(document.activeElement);
  const next = at < 0 ? (by > 0 ? 0 : links.length - 1) : Math.min(links.length - 1, Math.max(0, at + by));
  links[next].focus();
}

const actions = {
  "/": () => document.getElementById("find").focus(),
  "?": () => keys.showModal(),
  j: () => step(1),
  k: () => step(-1),
  n: () => document.getElementById("show-new")?.click(),
  p: () => setPaused(!paused),
  t: switchTheme,
};
let afterG = false;
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || keys.open || !single.checked) return;
  if (event.target.closest("input, select, textarea, [contenteditable]")) return;
  if (afterG) {
    afterG = false;
    document.querySelector(`nav a[data-key="${CSS.escape(event.key)}"]`)?.click();
    return;
  }
  afterG = event.key === "g";
  const action = Object.hasOwn(actions, event.key) ? actions[event.key] : null;
  if (action) {
    event.preventDefault();
    action();
  }
});
