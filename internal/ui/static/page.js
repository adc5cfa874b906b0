// What changes on a page is in elements with data-live. When the server says that there is something new, the page is
// asked for again and these elements are replaced. Without this script, the link "Refresh" does the same.
"use strict";

const pause = document.getElementById("pause");
const live = () => document.querySelectorAll("[data-live]");
let paused = false;
let asking = false;
let again = false;

async function update() {
  if (paused || document.hidden || asking) {
    again = true;
    return;
  }
  asking = true;
  again = false;
  try {
    const answer = await fetch(location.href, { credentials: "same-origin" });
    if (answer.ok) replace(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch {
    // The server is gone; EventSource tries again.
  }
  asking = false;
}

function replace(next) {
  for (const old of live()) {
    const fresh = next.getElementById(old.id);
    if (!fresh || fresh.innerHTML === old.innerHTML || selects(old)) continue;
    const focus = old.contains(document.activeElement) ? place(document.activeElement) : "";
    if (focus && !fresh.querySelector(focus)) continue; // whoever is there would lose their place
    const opened = [...old.querySelectorAll("details[open][id]")].map((d) => d.id);
    old.replaceChildren(...fresh.childNodes);
    for (const id of opened) document.getElementById(id)?.setAttribute("open", "");
    if (focus) old.querySelector(focus).focus({ preventScroll: true });
  }
  document.documentElement.dataset.updated = String(Number(document.documentElement.dataset.updated || 0) + 1);
}

// selects tells whether somebody is selecting text, which a replacement would undo.
function selects(element) {
  const s = document.getSelection();
  return s && !s.isCollapsed && element.contains(s.anchorNode);
}

// place is a selector that finds an element again.
function place(element) {
  if (element.id) return "#" + CSS.escape(element.id);
  const href = element.getAttribute("href");
  return href ? "[href=" + CSS.escape(href) + "]" : "";
}

function start() {
  if (live().length === 0) return;
  document.querySelector(".refresh").hidden = true;
  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    if (!paused && again) update();
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && again) update();
  });
  const events = new EventSource("/events");
  events.onmessage = update;
  events.onopen = () => {
    document.documentElement.dataset.live = "on";
    update();
  };
  addEventListener("pagehide", () => events.close());
}

// A form is checked while somebody types. The button "Check" does the same without this script.
function check(form) {
  let timer = 0;
  let turn = 0;
  const ask = async () => {
    const mine = ++turn;
    const body = new URLSearchParams(new FormData(form));
    let found;
    try {
      const answer = await fetch(form.dataset.check, { method: "POST", body, credentials: "same-origin" });
      found = await answer.json();
    } catch {
      return; // The server is gone, or the form is from before it was started; saving says so.
    }
    if (mine !== turn) return;
    for (const error of form.querySelectorAll(".error")) {
      const name = error.id.slice(0, -"-error".length);
      const text = found.fields[name] || "";
      error.textContent = text;
      const input = document.getElementById(name);
      if (text) input?.setAttribute("aria-invalid", "true");
      else input?.removeAttribute("aria-invalid");
    }
    const problems = document.getElementById("problems");
    problems.replaceChildren(
      ...found.problems.map((text) => {
        const p = document.createElement("p");
        p.textContent = text;
        return p;
      }),
    );
    form.dataset.checked = String(mine);
  };
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(ask, 300);
  });
}

start();
for (const form of document.querySelectorAll("form[data-check]")) check(form);
