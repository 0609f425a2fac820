// The sagas, latest first, as they are now.

import { ask, isOperator } from "./api.js";
import { h, byId, keep, repeat } from "./dom.js";
import { STATUSES, UNDER_WAY, clock, money, ofStatus, plural, shortId, span } from "./words.js";

const PAGE = 50;
const OFTEN_MS = 1000;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

const filter = { status: "", customer: "" };
let pages = 1;
let read = null;
let again = () => {};

export function showList(wanted) {
  offerFilter();
  byId("more").addEventListener("click", () => { pages += 1; again(); });
  byId("list").addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const links = [...byId("list").querySelectorAll("a")];
    links[links.indexOf(document.activeElement) + step]?.focus();
    event.preventDefault();
  });
  again = repeat(refresh, () => OFTEN_MS, wanted);
  setInterval(grow, 1000);
}

/** To be read at once: something was placed. */
export const listAgain = () => again();

function offerFilter() {
  const statuses = [["", "all"], ["under-way", "under way"], ...Object.keys(STATUSES).map((it) => [it, it])];
  const state = h("select", { id: "filter-state", change: (event) => choose({ status: event.target.value }) }, statuses.map(([value, name]) => h("option", { value }, name)));
  const text = h("input", { id: "filter-text", type: "search", placeholder: isOperator() ? "customer, or an order's id" : "an order's id", autocomplete: "off" });
  byId("filter").append(h("label", "State ", state), h("label", "Find ", text));
  byId("filter").addEventListener("submit", (event) => { event.preventDefault(); find(text.value.trim()); });
  text.addEventListener("search", () => find(text.value.trim()));
  text.addEventListener("change", () => find(text.value.trim()));
}

function find(text) {
  if (UUID.test(text)) location.hash = `#/sagas/${text.toLowerCase()}`;
  else if (isOperator()) choose({ customer: text });
}

function choose(change) {
  Object.assign(filter, change);
  pages = 1;
  again();
}

/** Of one status, so many pages of it. */
async function load(status) {
  const orders = [];
  let cursor;
  for (let page = 0; page < pages; page += 1) {
    const query = new URLSearchParams({ limit: PAGE, ...(status && { status }), ...(filter.customer && { customer_id: filter.customer }), ...(cursor && { cursor }) });
    const answer = await ask("order", `/orders?${query}`);
    orders.push(...answer.orders);
    cursor = answer.next_cursor;
    if (!cursor) break;
  }
  return { orders, more: Boolean(cursor) };
}

async function refresh() {
  const asked = { ...filter };
  const statuses = filter.status === "under-way" ? UNDER_WAY : [filter.status];
  try {
    const parts = await Promise.all(statuses.map(load));
    if (asked.status !== filter.status || asked.customer !== filter.customer) return again();
    const orders = parts.flatMap((it) => it.orders).sort((a, b) => (a.id < b.id ? 1 : -1));
    draw(orders, parts.some((it) => it.more));
    read = new Date();
  } catch (trouble) {
    byId("list-note").textContent = `${trouble.message}${read ? `; what is shown is from ${clock(read)}` : ""}`;
  }
}

function draw(orders, more) {
  byId("list-note").textContent = orders.length ? "" : filter.status || filter.customer ? "No saga is like that." : "No order has been placed yet.";
  byId("more").hidden = !more;
  keep(byId("list"), orders.map(line), (it) => it.id, row);
  grow();
}

/** What a row shows, and nothing that changes without being shown. */
const line = ({ id, status, reason, customer_id, amount_minor, currency, payment_method, created_at, items }) => ({
  id, status, reason, customer_id, amount: money(amount_minor, currency), payment_method, created_at,
  what: items.length === 1 ? `${items[0].quantity} × ${items[0].sku}` : plural(items.length, "line"),
});

function row(it) {
  const { tone, sign } = ofStatus(it.status);
  return h("li", h("a.row", { href: `#/sagas/${it.id}`, title: it.id },
    h(`span.state.${tone}`, h("span.sign", { "aria-hidden": "true" }, sign), it.status),
    h("span.who", it.customer_id), h("span.what", it.what, h("small", ` ${it.payment_method}`)),
    h("span.money", it.amount), h("code.id", shortId(it.id)),
    h("span.age", { "data-since": it.created_at, "data-open": UNDER_WAY.includes(it.status) })));
}

/** Ages grow without anything being read. */
function grow() {
  for (const element of document.querySelectorAll("[data-since]")) {
    const age = Date.now() - new Date(element.dataset.since);
    const text = span(age);
    if (element.textContent !== text) element.textContent = text;
    element.classList.toggle("old", "open" in element.dataset && age > 10_000);
  }
  const chosen = location.hash.split("/")[2];
  for (const link of byId("list").querySelectorAll("a")) {
    if (chosen && link.hash.endsWith(chosen)) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
}
window.addEventListener("hashchange", grow);
