// Counters and latencies of the last minutes, by the time at which orders were placed.

import { ask } from "./api.js";
import { h, byId, keep, repeat } from "./dom.js";
import { clock, count } from "./words.js";

const OFTEN_MS = 5000;

const plots = [];

export function showFigures(wanted) {
  byId("figures").append(
    h("div.panel", h("h2", "The last ten minutes"), h("p.note", { id: "figures-note", role: "status" }),
      h("dl.tiles", { id: "tiles" })),
    h("div.panel", h("h2", "Orders a second"), h("div.plot", { id: "plot-rates", role: "img" })),
    h("div.panel", h("h2", "From placement to the terminal state, ms"), h("div.plot", { id: "plot-times", role: "img" })),
    h("div.panel", h("details", h("summary", "The same as a table"), h("div.scroll", { tabindex: 0, role: "region", "aria-label": "Figures by minute" }, h("table", h("thead", h("tr", ["from", "placed", "confirmed", "cancelled", "under way", "p50 ms", "p99 ms"].map((it) => h("th", { scope: "col" }, it)))), h("tbody", { id: "figures-table" }))))));
  const again = repeat(refresh, () => OFTEN_MS, wanted);
  const anew = () => { plots.splice(0).forEach((it) => it.destroy()); again(); };
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", anew);
  new ResizeObserver(() => plots.forEach((it) => it.setSize(size(it.root.parentElement)))).observe(byId("figures"));
}

async function refresh() {
  let figures;
  try {
    figures = await ask("order", "/figures");
  } catch (trouble) {
    byId("figures-note").textContent = trouble.message;
    return;
  }
  const { slots, slot_seconds: seconds } = figures;
  byId("figures-note").textContent = `Read from the database of order-svc at ${clock(figures.at)}: all replicas together. Orders are counted when they were placed, ${seconds} s to a point; the last ones are still under way.`;
  const cancelled = slots.map((it) => sum(Object.values(it.cancelled)));
  tiles(slots, sum(cancelled));
  draw(slots, cancelled, seconds);
  minutes(slots, cancelled, seconds);
}

const sum = (all) => all.reduce((a, b) => a + b, 0);

function tiles(slots, cancelled) {
  const of = (name) => sum(slots.map((it) => it[name]));
  const reasons = {};
  for (const slot of slots) for (const [reason, n] of Object.entries(slot.cancelled)) reasons[reason] = (reasons[reason] ?? 0) + n;
  const all = [["placed", of("placed"), "accent"], ["confirmed", of("confirmed"), "good"], ["cancelled", cancelled, "bad"], ["under way", of("under_way"), "wait"],
    ...Object.entries(reasons).sort((a, b) => b[1] - a[1]).map(([reason, n]) => [reason, n, "comp small"])];
  keep(byId("tiles"), all, (it) => it[0], ([name, n, tone]) => h(`div.tile.${tone.replace(" ", ".")}`, h("dt", name), h("dd", count(n))));
}

const size = (element) => ({ width: Math.max(200, element.clientWidth), height: 200 });
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

function draw(slots, cancelled, seconds) {
  const at = slots.map((it) => new Date(it.at) / 1000);
  const rate = (values) => values.map((it) => it / seconds);
  const rates = [at, rate(slots.map((it) => it.placed)), rate(slots.map((it) => it.confirmed)), rate(cancelled)];
  const times = [at, slots.map((it) => it.p50_ms ?? null), slots.map((it) => it.p99_ms ?? null)];
  if (!plots.length) {
    plots.push(plot("plot-rates", rates, [["placed", "accent", [6, 4]], ["confirmed", "good"], ["cancelled", "bad", [2, 3]]], (v) => v.toFixed(1)));
    plots.push(plot("plot-times", times, [["p50", "accent"], ["p99", "comp", [6, 4]]], (v) => v.toFixed(0)));
  } else {
    [rates, times].forEach((data, n) => plots[n].setData(data));
  }
  const last = slots.findLast((it) => it.p99_ms);
  byId("plot-rates").setAttribute("aria-label", `Plot: ${count(sum(slots.map((it) => it.placed)))} orders placed in ten minutes, ${count(sum(cancelled))} of them cancelled.`);
  byId("plot-times").setAttribute("aria-label", last ? `Plot: lately half of the orders ended within ${last.p50_ms.toFixed(0)} ms, 99 of 100 within ${last.p99_ms.toFixed(0)} ms.` : "Plot: no order has ended.");
}

function plot(id, data, series, show) {
  const axis = { stroke: colour("dim"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line"), width: 1 } };
  const value = (_, v) => (v === null || v === undefined ? "–" : show(v));
  return new window.uPlot({
    ...size(byId(id)),
    cursor: { drag: { x: false, y: false } },
    scales: { y: { range: (_, low, high) => [0, Math.max(high * 1.1, 0.5)] } },
    axes: [{ ...axis, values: (_, all) => all.map((it) => clock(it * 1000).slice(0, 5)), space: 70 }, { ...axis, size: 64 }],
    series: [{ label: "from", value: (_, v) => (v ? clock(v * 1000) : "–") },
      ...series.map(([label, name, dash]) => ({ label, stroke: colour(name), width: 1.6, dash, value, spanGaps: true, points: { show: true, size: 4, stroke: colour(name), fill: colour(name) } }))],
  }, data, byId(id));
}

/** A line a minute, the latest first. */
function minutes(slots, cancelled, seconds) {
  const lines = [];
  slots.forEach((slot, n) => {
    const from = Math.floor(new Date(slot.at) / 60000) * 60000;
    let line = lines[0];
    if (line?.from !== from) lines.unshift(line = { from, placed: 0, confirmed: 0, cancelled: 0, under_way: 0, p50: null, p99: null });
    line.placed += slot.placed; line.confirmed += slot.confirmed; line.cancelled += cancelled[n]; line.under_way += slot.under_way;
    // The worst five seconds of the minute: percentiles cannot be added up.
    line.p50 = Math.max(line.p50 ?? 0, slot.p50_ms ?? 0) || null;
    line.p99 = Math.max(line.p99 ?? 0, slot.p99_ms ?? 0) || null;
  });
  keep(byId("figures-table"), lines, (it) => it.from, (it) => h("tr", h("th", { scope: "row" }, clock(it.from).slice(0, 5)),
    [it.placed, it.confirmed, it.cancelled, it.under_way].map((n) => h("td", count(n))), [it.p50, it.p99].map((ms) => h("td", { title: `the worst ${seconds} s` }, ms === null ? "–" : ms.toFixed(0)))));
}
