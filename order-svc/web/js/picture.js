// The picture of a story: a lane for each service, time downwards. What happened is text in boxes, in the order of a list, so that it can be
// read aloud, selected and walked through; lanes and arrows are drawn behind it, where the boxes have come to stand.

import { h, keep, s } from "./dom.js";
import { eventName, span } from "./words.js";
import { sentence } from "./model.js";

const NARROW_PX = 640;
const CHANNEL_PX = 6;
const ROUND_PX = 7;

export class Picture {
  /** @param chosen called with the row that has the focus */
  constructor(chosen) {
    this.heads = h("div.heads", { "aria-hidden": "true" });
    this.list = h("ol.rows", { "aria-label": "What happened, in the order of time" });
    this.drawing = s("svg", { "aria-hidden": "true" });
    this.element = h("div.picture", this.heads, this.drawing, this.list);
    this.chosen = chosen;
    this.told = { lanes: [], rows: [], links: [] };
    new ResizeObserver(() => this.draw()).observe(this.element);
    this.list.addEventListener("keydown", (event) => this.walk(event));
    this.list.addEventListener("focusin", (event) => this.choose(event.target));
    this.list.addEventListener("click", (event) => event.target.closest(".step")?.focus());
  }

  show(told) {
    this.told = told;
    this.element.style.setProperty("--lanes", told.lanes.length);
    keep(this.heads, told.lanes, (it) => it, (lane) => h("span", lane));
    keep(this.list, told.rows, (it) => it.key, (row) => this.box(row));
    this.draw();
  }

  box(row) {
    const lane = this.told.lanes.indexOf(row.lane);
    const box = h(`article.step.${row.tone}.${row.kind}`, { tabindex: 0, "aria-label": sentence(row), "data-row": row.n },
      h("b", row.title.replace(":", ":\u200b")), h("span.lane", row.lane),
      h(`span.verdict`, h("span.sign", { "aria-hidden": "true" }, row.sign), row.word),
      row.says && h("span.says", `says ${eventName(row.says)}`),
      row.notes.map((note) => h("span.why", note)));
    const item = h("li", row.gap ? h("span.gap", `${span(row.gap)} later`) : "", h("time", { datetime: row.at ?? "" }, row.when), box);
    item.style.setProperty("--lane", lane + 2);
    item.style.setProperty("--x", lane);
    return item;
  }

  walk(event) {
    const step = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity }[event.key];
    const boxes = [...this.list.querySelectorAll(".step")];
    const at = boxes.indexOf(event.target);
    if (!step || at < 0) return;
    boxes[Math.min(boxes.length - 1, Math.max(0, at + step))].focus();
    event.preventDefault();
  }

  choose(box) {
    const row = this.told.rows[Number(box.dataset.row)];
    if (!row) return;
    for (const path of this.drawing.querySelectorAll("[data-from]")) {
      path.classList.toggle("near", [path.dataset.from, path.dataset.to].includes(box.dataset.row));
    }
    this.chosen(row);
  }

  /** Lanes and arrows, by where the boxes are now. */
  draw() {
    const narrow = this.element.clientWidth < NARROW_PX;
    this.element.classList.toggle("narrow", narrow);
    const frame = this.element.getBoundingClientRect();
    if (!frame.width) return;
    const [width, height] = [this.element.scrollWidth, this.element.scrollHeight];
    for (const [name, value] of Object.entries({ width, height, viewBox: `0 0 ${width} ${height}` })) this.drawing.setAttribute(name, value);
    const boxes = [...this.list.querySelectorAll(".step")].map((box) => {
      const { left, top, right, bottom } = box.getBoundingClientRect();
      return { left: left - frame.left, right: right - frame.left, top: top - frame.top, bottom: bottom - frame.top, middle: Math.min((top + bottom) / 2, top + 22) - frame.top };
    });
    const lanes = narrow ? this.lanesOfDots() : this.lanesOfHeads(frame);
    const lines = lanes.map((x) => s("line", { x1: x, x2: x, y1: narrow ? 4 : 26, y2: height - 4, class: "laneline" }));
    const paths = this.told.links.map((link, n) => this.link(link, n, boxes, lanes, narrow)).filter(Boolean);
    const dots = narrow ? this.told.rows.map((row, n) => boxes[n] && s("circle", { cx: lanes[this.told.lanes.indexOf(row.lane)], cy: boxes[n].middle, r: 5, class: `dot ${row.tone} ${row.kind}` })).filter(Boolean) : [];
    this.drawing.replaceChildren(marker(), ...lines, ...paths, ...dots);
  }

  lanesOfHeads(frame) {
    return [...this.heads.children].map((head) => (head.getBoundingClientRect().left + head.getBoundingClientRect().right) / 2 - frame.left);
  }

  lanesOfDots() {
    return this.told.lanes.map((_, n) => 10 + n * 17);
  }

  link({ from, to, tone }, n, boxes, lanes, narrow) {
    const [a, b] = [boxes[from], boxes[to]];
    if (!a || !b) return null;
    const [x1, x2] = [from, to].map((it) => lanes[this.told.lanes.indexOf(this.told.rows[it].lane)]);
    const path = narrow ? bent(x1, a.middle, x2, b.middle) : around(a, b, x1, x2, n);
    return s("path", { d: path, class: `link ${tone}`, "data-from": from, "data-to": to, "marker-end": narrow ? "" : "url(#arrow)" });
  }
}

const marker = () => s("defs", {}, s("marker", { id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto-start-reverse" }, s("path", { d: "M0 .8 7.2 4 0 7.2z", fill: "context-stroke" })));

/** From dot to dot. */
function bent(x1, y1, x2, y2) {
  if (x1 === x2) return `M${x1} ${y1}V${y2}`;
  const round = Math.min(12, (y2 - y1) / 2);
  return `M${x1} ${y1}C${x1} ${y1 + round} ${x2} ${y1} ${x2} ${y1 + round * 1.5}V${y2}`;
}

/** Along the row of who said it, down the channel beside the boxes of who reacted, and in from the left: nothing is crossed but lanes. */
function around(a, b, x1, x2, n) {
  const channel = b.left - 8 - (n % 3) * CHANNEL_PX / 1.5;
  const start = channel > a.left ? a.right : a.left;
  const toRight = channel > start;
  const round = Math.min(ROUND_PX, Math.abs(channel - start), Math.abs(b.middle - a.middle) / 2);
  const turn = toRight ? round : -round;
  return `M${start} ${a.middle}H${channel - turn}q${turn} 0 ${turn} ${round}V${b.middle - round}q0 ${round} ${round} ${round}H${b.left - 1}`;
}
