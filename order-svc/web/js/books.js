// What the services' books add up to, each against itself and against the others, and what the auditor said last.

import { ask } from "./api.js";
import { h, byId, keep, repeat } from "./dom.js";
import { UNDER_WAY, clock, count, money, plural, precise, span } from "./words.js";

const OFTEN_MS = 5000;
/** Adding up takes the databases some time: no more than a twentieth of it. */
const SHARE = 20;

let took = 0;

export function showBooks(wanted) {
  byId("books").append(
    h("div.panel", h("h2", "The auditor"), h("div", { id: "audit" })),
    h("div.panel", h("h2", "Do the books agree?"), h("p.note", { id: "books-note", role: "status" }), h("ul.checks", { id: "checks", "aria-label": "Checks" })),
    h("div.panel", h("h2", "Totals"), h("div.tables", { id: "totals" })));
  repeat(refresh, () => Math.max(OFTEN_MS, took * SHARE), wanted);
}

async function refresh() {
  const begun = Date.now();
  const [order, inventory, payment, audit] = await Promise.all([totals("order"), totals("inventory"), totals("payment"), verdict()]);
  took = Date.now() - begun;
  drawAudit(audit);
  drawTotals(order, inventory, payment);
  const checks = compare(order, inventory, payment);
  byId("books-note").textContent = [
    ...[order, inventory, payment].filter((it) => it.trouble).map((it) => `${it.name}-svc: ${it.trouble}.`),
    order.trouble ? "" : atRest(order) ? "Nothing is under way." : `${plural(underWay(order), "saga")} under way: what is compared between services may differ by those.`,
  ].join(" ");
  keep(byId("checks"), checks, (it) => it.claim, ({ claim, sides, state }) => {
    const { tone, sign, word } = { good: { tone: "good", sign: "✓", word: "agree" }, bad: { tone: "bad", sign: "✕", word: "differ" }, open: { tone: "wait", sign: "…", word: "under way" }, unknown: { tone: "dim", sign: "?", word: "not known" } }[state];
    return h(`li.${tone}`, h(`span.state.${tone}`, h("span.sign", { "aria-hidden": "true" }, sign), word), " ", h("span", claim), h("span.note", sides));
  });
}

async function totals(name) {
  try {
    return { name, ...(await ask(name, "/totals")) };
  } catch (trouble) {
    return { name, trouble: trouble.message };
  }
}

async function verdict() {
  try {
    return await ask("order", "/audit");
  } catch (trouble) {
    return { trouble: trouble.status === 404 ? "" : trouble.message };
  }
}

const sum = (rows, field) => rows.reduce((total, row) => total + row[field], 0);
const underWay = (order) => sum(order.orders.filter((it) => UNDER_WAY.includes(it.status)), "orders") + order.unclosed;
const atRest = (order) => underWay(order) === 0;
/** Paid for, and not given back. */
const KEPT = ["confirmed", "shipped", "delivered"];

function compare(order, inventory, payment) {
  const checks = [];
  const check = (claim, known, equal, sides, within = false) => checks.push({ claim, sides: known ? sides() : "", state: !known ? "unknown" : equal() ? "good" : within || order.trouble || atRest(order) ? "bad" : "open" });
  const [knowsOrder, knowsStock, knowsMoney] = [order, inventory, payment].map((it) => !it.trouble);

  const stock = () => [inventory.put_in, inventory.available + inventory.reserved + inventory.sold];
  check("What was ever put on the shelf is available, reserved or sold", knowsStock, () => stock()[0] === stock()[1], () => `${count(stock()[0])} put in; ${count(inventory.available)} available + ${count(inventory.reserved)} reserved + ${count(inventory.sold)} sold`, true);
  const wallets = () => payment.wallets.every((it) => it.balance_minor === it.movements_minor);
  check("Wallets hold what their movements add up to", knowsMoney, wallets, () => payment.wallets.map((it) => `${money(it.balance_minor, it.currency)} held, ${money(it.movements_minor, it.currency)} moved`).join("; "), true);

  const kept = (currency) => sum(order.orders.filter((it) => KEPT.includes(it.status) && it.currency === currency), "amount_minor");
  const charged = (currency) => sum(payment.payments.filter((it) => it.status === "charged" && it.currency === currency), "amount_minor");
  const currencies = () => [...new Set([...order.orders, ...payment.payments].map((it) => it.currency))].sort();
  check("Money charged and not given back is what confirmed orders cost", knowsOrder && knowsMoney, () => currencies().every((it) => kept(it) === charged(it)), () => currencies().map((it) => `${money(charged(it), it)} charged, ${money(kept(it), it)} ordered`).join("; "));
  const pieces = () => sum(order.orders.filter((it) => KEPT.includes(it.status)), "pieces");
  check("Pieces sold are those of confirmed orders", knowsOrder && knowsStock, () => pieces() === inventory.sold, () => `${count(inventory.sold)} sold, ${count(pieces())} ordered`);
  check("Nothing is reserved for orders that have ended", knowsOrder && knowsStock, () => inventory.reserved === 0, () => `${count(inventory.reserved)} reserved`);
  return checks;
}

function drawAudit({ trouble, told_at, told_by, clean, report }) {
  if (!told_at) {
    keep(byId("audit"), [{ trouble }], () => "none", () => h("p.note", trouble || "Nobody has told this order-svc of an audit since it started: `cargo sagactl audit` does."));
    return;
  }
  const failed = report.checks.filter((it) => !it.passed);
  const warned = report.warnings.filter((it) => !it.passed);
  keep(byId("audit"), [{ told_at, told_by, clean, failed, warned, n: report.checks.length, counts: report.counts }], () => "audit", (it) => h("div",
    h("p.verdictline", h(`span.state.${it.clean ? "good" : "bad"}`, h("span.sign", { "aria-hidden": "true" }, it.clean ? "✓" : "✕"), it.clean ? "clean" : "not clean"),
      ` ${plural(it.n, "check")}, ${it.failed.length} failed, ${plural(it.warned.length, "warning")}; `, h("time", { datetime: it.told_at, title: precise(it.told_at) }, h("span", { "data-since": it.told_at }, span(Date.now() - new Date(it.told_at)))), ` ago, told by ${it.told_by}`),
    h("p.note", Object.entries(it.counts).map(([name, n]) => `${count(n)} ${name}`).join(", ")),
    [...it.failed, ...it.warned].map((check) => h("details", h("summary", `${check.name}: ${count(check.violations)} against “${check.claim}”`), h("ul", check.findings.map((it) => h("li", h("code", it.id), `: expected ${it.expected}; found ${it.actual}`)))))));
}

function drawTotals(order, inventory, payment) {
  const tables = [
    !order.trouble && { name: `Orders (read at ${clock(order.at)})`, head: ["status", "orders", "pieces", "amount"], rows: order.orders.map((it) => [it.status, count(it.orders), count(it.pieces), money(it.amount_minor, it.currency)]) },
    !payment.trouble && { name: "Payments", head: ["status", "payments", "amount"], rows: payment.payments.map((it) => [it.status, count(it.payments), money(it.amount_minor, it.currency)]) },
    !payment.trouble && { name: "Wallets", head: ["currency", "wallets", "balance"], rows: payment.wallets.map((it) => [it.currency, count(it.wallets), money(it.balance_minor, it.currency)]) },
    !inventory.trouble && { name: "Stock", head: ["", "pieces"], rows: [["put in", count(inventory.put_in)], ["available", count(inventory.available)], ["reserved", count(inventory.reserved)], ["sold", count(inventory.sold)], ["articles", count(inventory.articles)]] },
  ].filter(Boolean);
  keep(byId("totals"), tables, (it) => it.head.join(), ({ name, head, rows }) => h("table", h("caption", name), h("thead", h("tr", head.map((it) => h("th", { scope: "col" }, it)))), h("tbody", rows.map(([first, ...rest]) => h("tr", h("th", { scope: "row" }, first), rest.map((it) => h("td", it)))))));
}
