// Messages that wait for another attempt, and those that wait for a person.

import { ask } from "./api.js";
import { h, byId, keep, repeat } from "./dom.js";
import { LANES, clock, eventName, plural, precise, shortId } from "./words.js";

const OFTEN_MS = 2000;
const SELDOM_MS = 10_000;
const MOST = 200;

const bodies = new Map();
let again = () => {};

export function showHeld(wanted) {
  byId("held").append(
    h("div.panel", h("h2", "Held up"),
      h("p.note", "Parked messages wait for a person: redriven, they run through their step again. Waiting ones are tried again by themselves; whatever has been undone since changes nothing."),
      h("p.note", { id: "held-note", role: "status" }),
      h("p", { id: "held-done", role: "status" }),
      h("ul.cards", { id: "held-list", "aria-label": "Waiting and parked messages" })));
  again = repeat(refresh, () => (wanted() ? OFTEN_MS : SELDOM_MS));
}

async function refresh() {
  const silent = [];
  const parts = await Promise.all(LANES.map(async (service) => {
    try {
      const { parked } = await ask(service, `/parked?limit=${MOST}&waiting=true`);
      return parked.map((it) => ({ service, ...it }));
    } catch {
      silent.push(service);
      return [];
    }
  }));
  const rows = parts.flat();
  const parked = rows.filter((it) => it.state === "parked").length;
  byId("held-count").textContent = rows.length ? String(rows.length) : "";
  byId("held-note").textContent = [
    rows.length ? `${plural(parked, "message")} parked, ${rows.length - parked} waiting.` : silent.length ? "" : "Nothing is held up.",
    silent.length ? `Not known of ${silent.map((it) => `${it}-svc`).join(", ")}: no answer.` : "",
  ].join(" ");
  keep(byId("held-list"), rows, (it) => `${it.service} ${it.message_id} ${it.step}`, card);
}

function card(it) {
  const parked = it.state === "parked";
  const body = h("pre", { tabindex: 0, "aria-label": "Payload" }, bodies.get(it.message_id) ?? "…");
  const payload = h("details", { toggle: () => payload.open && showBody(it, body) }, h("summary", "Payload"), body);
  return h(`li.card.${parked ? "held" : "wait"}`, { "aria-label": `${it.state}: ${it.type || "a message"} at ${it.service}-svc` },
    h("p.head", h(`span.state.${parked ? "held" : "wait"}`, h("span.sign", { "aria-hidden": "true" }, parked ? "‖" : "◷"), it.state),
      h("strong", eventName(it.type) || "no type"), ` for ${it.service}-svc, step ${it.step === "-" ? "none" : it.step}`),
    h("p.reason", it.reason),
    h("dl.facts", fact("message", h("code", it.message_id)), it.saga_id && fact("saga", h("a", { href: `#/sagas/${it.saga_id}` }, h("code", shortId(it.saga_id)))),
      fact("attempts", it.attempts), fact("since", precise(it.first_seen_at)), !parked && fact("tried again", clock(it.due_at))),
    payload,
    h("p.buttons", it.redrivable
      ? h("button", { type: "button", click: (event) => redrive(it, event.target) }, parked ? "Redrive" : "Try now")
      : h("span.note", "It can never be handled here.")));
}

const fact = (name, value) => [h("dt", name), h("dd", value)];

async function showBody(it, into) {
  try {
    const { body } = await ask(it.service, `/parked/${it.message_id}`);
    let text = body ?? "";
    try { text = JSON.stringify(JSON.parse(text), null, 1); } catch { /* as it came */ }
    bodies.set(it.message_id, text);
    into.textContent = text || "(empty)";
  } catch (trouble) {
    into.textContent = trouble.message;
  }
}

/** What came of it stands above the cards: this one is drawn anew, or goes. */
async function redrive(it, button) {
  const name = eventName(it.type) || "The message";
  button.disabled = true;
  try {
    await ask(it.service, `/parked/${it.message_id}/redrive`, { method: "POST" });
    byId("held-done").textContent = `${name} is being tried again by ${it.service}-svc since ${clock(new Date())}.`;
    again();
  } catch (trouble) {
    byId("held-done").textContent = `${name} is not tried again: ${trouble.message}.`;
  }
  button.disabled = false;
}
