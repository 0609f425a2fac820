// One saga: what it is, what can be done with it, its picture, and what is known of the step that was chosen.

import { ask, events, isOperator } from "./api.js";
import { h, byId, announce, keep, repeat } from "./dom.js";
import { listAgain } from "./list.js";
import { sentence, tell } from "./model.js";
import { Picture } from "./picture.js";
import { eventName, money, ofStatus, precise } from "./words.js";

const LIVE_MS = 700;
const AT_REST_MS = 5000;
const ENDS_CHANGE_FOR_MS = 5000;

let id;
let order = null;
let timeline = null;
let live = null;
let changed = 0;
let again = () => {};
let picture;

const parts = {};

export function showStory() {
  picture = new Picture(describe);
  Object.assign(parts, { head: h("div"), note: h("p.note", { role: "status" }), about: h("div.about"), table: h("tbody") });
  byId("story").append(
    parts.head, parts.note, picture.element, parts.about,
    h("details.also", h("summary", "The same as a table"), h("div.scroll", { tabindex: 0, role: "region", "aria-label": "Story as a table" },
      h("table", h("thead", h("tr", ["at", "service", "step", "verdict", "reacted to", "said", "notes"].map((it) => h("th", { scope: "col" }, it)))), parts.table))));
  again = repeat(refresh, () => (moving() ? LIVE_MS : AT_REST_MS), () => id && !byId("sagas").hidden);
}

/** Shows this saga, or none. */
export function follow(wanted) {
  if (wanted === id) return;
  live?.abort();
  [id, order, timeline, live] = [wanted, null, null, null];
  byId("story").classList.toggle("none", !id);
  parts.head.replaceChildren(...(id ? [h("p.note", "Reading ..")] : [h("p.note", "Choose a saga, or place an order and watch.")]));
  parts.note.textContent = "";
  parts.about.replaceChildren();
  parts.table.replaceChildren();
  picture.show({ lanes: [], rows: [], links: [] });
  if (id) again();
}

/** Will it change by itself? */
function moving() {
  if (!order) return true;
  const done = ["cancelled", "returned"].includes(order.status) || (order.closed_at && order.status !== "returning");
  const open = timeline && ((timeline.waiting?.length ?? 0) + (timeline.calls?.length ?? 0) + (timeline.silent?.length ?? 0) + (timeline.expected?.length ?? 0) > 0);
  return !done || open || Date.now() - changed < ENDS_CHANGE_FOR_MS;
}

async function refresh() {
  const wanted = id;
  try {
    const [newOrder, newTimeline] = await Promise.all([ask("order", `/orders/${wanted}`), ask("order", `/orders/${wanted}/timeline`)]);
    if (wanted !== id) return again();
    took(newOrder);
    timeline = newTimeline;
    parts.note.textContent = "";
    draw();
    listen();
  } catch (trouble) {
    if (wanted !== id) return again();
    parts.note.textContent = trouble.status === 404 ? "There is no such order." : `${trouble.message}${order ? "; what is shown may be old" : ""}`;
    if (!order) parts.head.replaceChildren();
  }
}

function took(newOrder) {
  const moved = order?.status !== newOrder.status || order?.closed_at !== newOrder.closed_at;
  if (order && order.status !== newOrder.status) announce(`The order is ${newOrder.status}.${newOrder.reason ? ` ${newOrder.reason}.` : ""}`);
  order = newOrder;
  if (moved) changed = Date.now();
}

/** The order's own events say at once when it has moved on. */
function listen() {
  if (live || !moving()) return;
  const mine = (live = new AbortController());
  const over = () => { if (live === mine) live = null; };
  events("order", `/orders/${id}/events`, mine.signal, (_, body) => {
    if (body.id === id) { took(body); again(); listAgain(); }
  }).then(over, over);
}

function draw() {
  drawHead();
  const told = tell(timeline, new Date(order.created_at).getTime());
  picture.show(told);
  keep(parts.table, told.rows, (it) => it.key, (row) => h("tr", h("td", row.when), h("td", row.lane), h("td", row.title), h("td", `${row.sign} ${row.word}`), h("td", eventName(row.on)), h("td", eventName(row.says)), h("td", row.notes.join("; "))));
}

function drawHead() {
  const { tone, sign } = ofStatus(order.status);
  const items = order.items.map((it) => `${it.quantity} × ${it.sku}`).join(", ");
  const facts = {
    id, tone, sign, status: order.status, reason: order.reason ?? "", next: nextLine(), answers: answersLine(),
    line: `${order.customer_id}: ${items}, ${money(order.amount_minor, order.currency)} by ${order.payment_method}`,
    times: `placed ${precise(order.created_at)}${order.closed_at ? `, closed ${precise(order.closed_at)}` : order.status === "pending" ? `, deadline ${precise(order.deadline_at)}` : ""}`,
    faults: (timeline.faults ?? []).map(({ service, directive, fired_at, released_at }) => ({ service, directive, state: released_at ? "released" : fired_at ? "fired" : "not fired" })),
    buttons: choices(),
  };
  keep(parts.head, [facts], () => id, headOf);
}

function headOf(it) {
  return h("header.storyhead",
    h("a.back", { href: "#/sagas" }, "← All sagas"),
    h("h2", h(`span.state.${it.tone}`, { id: "status" }, h("span.sign", { "aria-hidden": "true" }, it.sign), it.status), " ", h("code", it.id)),
    h("p", it.line), it.reason && h("p.reason", it.reason), h("p.note", it.times), it.answers && h("p.note", it.answers),
    it.next && h("p.next", { id: "next" }, it.next),
    it.faults.length ? h("ul.faults", { "aria-label": "Faults" }, it.faults.map((fault) => h("li", h("span.sign", { "aria-hidden": "true" }, "⚡\uFE0E"), h("code", fault.directive), ` ${fault.state} in ${fault.service}`))) : "",
    it.buttons.length ? h("p.buttons", it.buttons.map((choice) => h("button", { type: "button", click: (event) => act(choice, event.target) }, choice.name))) : "");
}

/** What is expected next, and what is missing. */
function nextLine() {
  const say = (it) => `${it.step} at ${it.service}${it.reacts_to ? ` on ${eventName(it.reacts_to)}` : ""}${it.state === "late" ? " (missing)" : it.state === "expected" ? "" : ` (${it.state})`}`;
  const expected = (timeline.expected ?? []).map(say);
  return expected.length ? `Next: ${expected.join("; ")}.` : "";
}

function answersLine() {
  if (order.status !== "cancelling") return "";
  const missing = order.answers.required.filter((it) => !order.answers.given.includes(it));
  return missing.length ? `Cancelled as soon as ${missing.join(" and ")} ${missing.length > 1 ? "have" : "has"} answered.` : "";
}

function choices() {
  const all = [];
  const path = `/orders/${id}`;
  const put = (name, what, body) => all.push({ name, service: "order", path: `${path}${what}`, body });
  if (order.status === "pending") put("Cancel it", "/cancel");
  if (isOperator() && order.status === "confirmed" && order.closed_at) put("Ship it", "/status", { status: "shipped" });
  if (isOperator() && order.status === "shipped") put("It is delivered", "/status", { status: "delivered" });
  if (order.status === "delivered") put("Return it", "/return");
  const holds = isOperator() ? (timeline.faults ?? []).filter((it) => /=hold\b/.test(it.directive) && it.fired_at && !it.released_at) : [];
  for (const service of new Set(holds.map((it) => it.service))) all.push({ name: `Release the hold in ${service}`, service: service.replace(/-svc$/, ""), path: "/faults", method: "PUT", body: { release: id } });
  return all;
}

async function act({ service, path, method = "POST", body, name }, button) {
  button.disabled = true;
  try {
    await ask(service, path, { method, body });
    parts.note.textContent = "";
    changed = Date.now();
  } catch (trouble) {
    parts.note.textContent = `${name}: ${trouble.message}`;
  }
  button.disabled = false;
  again();
}

/** All that is known of one row. */
function describe(row) {
  const facts = [["at", row.at && precise(row.at)], ["reacted to", row.on], ["message", row.message], ["said", row.says], ["as message", row.saysId]];
  parts.about.replaceChildren(h("p", sentence(row)), h("dl.facts", facts.filter(([, value]) => value).map(([name, value]) => [h("dt", name), h("dd", h("code", value))])));
}
