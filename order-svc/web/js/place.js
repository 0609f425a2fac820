// Places an order: what, how it is paid, and what is to go wrong on the way. The lists come from the services.

import { ask, isOperator, me } from "./api.js";
import { h, byId, announce } from "./dom.js";
import { listAgain } from "./list.js";
import { LANES, money } from "./words.js";

const TRIES = 8;
const PAUSE_MS = 1000;

let points = [];

export async function showPlace() {
  byId("place-form").append(
    isOperator() ? field("Customer", h("input", { id: "place-customer", value: "anna", required: true, maxlength: 100, autocomplete: "off" })) : "",
    h("div.pair", field("Article", h("select", { id: "place-sku" })), field("Quantity", h("input", { id: "place-quantity", type: "number", min: 1, max: 1000000, value: 1, required: true }))),
    field("Paid by", h("select", { id: "place-method", change: explain })),
    h("p.note", { id: "place-method-note" }),
    isOperator() ? faults() : "",
    h("p.buttons", h("button.main", { type: "submit" }, "Place the order")),
    h("p.note", { id: "place-note", role: "status" }),
  );
  byId("place-form").addEventListener("submit", (event) => { event.preventDefault(); place(); });
  byId("place").open = window.matchMedia("(min-width: 60rem)").matches;
  await Promise.all([until(loadProducts), until(loadMethods), ...(isOperator() ? LANES.map((name) => until(() => loadFaults(name))) : [])]);
}

const field = (name, input) => h("label", h("span", name), input);

/** What cannot be read yet is asked for again. */
async function until(load) {
  for (;;) {
    try { return await load(); } catch { await new Promise((done) => setTimeout(done, 3000)); }
  }
}

async function loadProducts() {
  const { products } = await ask("order", "/products?limit=100");
  byId("place-sku").replaceChildren(...products.map((it) => option(it.sku, `${it.name}, ${money(it.unit_price_minor, it.currency)}`, { "data-currency": it.currency })));
  const mug = products.find((it) => it.sku === "MUG-STONE");
  if (mug) byId("place-sku").value = mug.sku;
}

async function loadMethods() {
  const { methods } = await ask("payment", "/payment-methods");
  byId("place-method").replaceChildren(...methods.map((it) => option(it.method, it.method, { "data-means": it.means })));
  explain();
}

const option = (value, text, more = {}) => h("option", { value, ...more }, text);

function explain() {
  byId("place-method-note").textContent = byId("place-method").selectedOptions[0]?.dataset.means ?? "";
}

function faults() {
  return h("fieldset", { id: "place-faults" }, h("legend", "What is to go wrong"),
    field("Where", h("select", { id: "fault-point", change: offerActions }, option("", "nothing"), LANES.map((name) => h("optgroup", { label: `${name}-svc`, id: `fault-${name}` })))),
    h("p.note", { id: "fault-note" }),
    h("div.pair", field("What", h("select", { id: "fault-action", disabled: true })), field("While handling", h("select", { id: "fault-event", disabled: true }))));
}

async function loadFaults(name) {
  const map = await ask(name, "/faults");
  points = points.filter((it) => it.service !== name).concat(map.points.map((it) => ({ ...it, service: name, enabled: map.enabled })));
  byId(`fault-${name}`).replaceChildren(...map.points.map((it) => option(it.point, it.point.split("/")[1])));
  if (!map.enabled) {
    byId("fault-point").disabled = true;
    byId("fault-note").textContent = "Fault injection is off: start the services with FAULTS=on (cargo demo --set FAULTS=on).";
  }
}

function offerActions() {
  const point = points.find((it) => it.point === byId("fault-point").value);
  for (const id of ["fault-action", "fault-event"]) byId(id).disabled = !point;
  byId("fault-note").textContent = point ? `${point.stands_for}.` : "";
  const events = [...new Set((point?.reached ?? []).map((it) => it.event).filter(Boolean))].sort();
  byId("fault-action").replaceChildren(...(point?.actions ?? []).map((it) => option(it, it)));
  byId("fault-event").replaceChildren(option("", "anything"), ...events.map((it) => option(it, it)));
}

function directive() {
  if (!isOperator() || !byId("fault-point").value) return null;
  const event = byId("fault-event").value;
  return `${byId("fault-point").value}${event && `@${event}`}=${byId("fault-action").value}`;
}

async function place() {
  const form = byId("place-form");
  const [sku, method] = [byId("place-sku"), byId("place-method")];
  const order = {
    customer_id: isOperator() ? byId("place-customer").value.trim() : me.subject,
    currency: sku.selectedOptions[0]?.dataset.currency ?? "EUR",
    items: [{ sku: sku.value, quantity: Number(byId("place-quantity").value) }],
    payment_method: method.value,
  };
  const fault = directive();
  const more = { "idempotency-key": `"${crypto.randomUUID?.() ?? Math.random().toString(36).slice(2)}"`, ...(fault && { "saga-fault": fault }) };
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    const placed = await persist(() => ask("order", "/orders", { method: "POST", body: order, more }));
    say(`Placed ${placed.id}${fault ? `, with ${fault}` : ""}.`);
    listAgain();
    location.hash = `#/sagas/${placed.id}`;
  } catch (trouble) {
    say(`Not placed: ${trouble.message}`);
  }
  button.disabled = false;
}

/** Whether an order was placed that nobody answered for is not known: asked again under its key, it is the same order. */
async function persist(send) {
  for (let n = 1; ; n += 1) {
    try {
      return await send();
    } catch (trouble) {
      if (n === TRIES || ![0, 409, 502, 503, 504].includes(trouble.status)) throw trouble;
      say(`${trouble.message}; asking again under the same key (${n + 1} of ${TRIES}) ..`);
      await new Promise((done) => setTimeout(done, PAUSE_MS));
    }
  }
}

function say(text) {
  byId("place-note").textContent = text;
  announce(text);
}
