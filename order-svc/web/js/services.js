// Which services answer, and what those that do not are missed for.

import { askText, isOperator, me } from "./api.js";
import { h, byId, keep, repeat } from "./dom.js";
import { LANES } from "./words.js";

const OFTEN_MS = 2000;
const OFF_THE_BROKER = /queue|publish/;

const health = new Map(LANES.map((name) => [name, { name, state: "asked", detail: "" }]));

/** Does this service answer at all? */
export const answers = (service) => health.get(service)?.state !== "away";

export function watchServices() {
  draw();
  repeat(async () => {
    await Promise.all(LANES.map(async (name) => health.set(name, { name, ...(await look(name)) })));
    draw();
  }, () => OFTEN_MS);
}

async function look(name) {
  try {
    const note = (await askText(name, "/readyz")).split("\n").filter((line) => line.startsWith("note: ")).map((line) => line.slice(6));
    return { state: note.length ? "noted" : "ready", detail: note.join("; ") };
  } catch (trouble) {
    if (trouble.status === 401) {
      if (me.token) document.dispatchEvent(new CustomEvent("refused", { detail: trouble.message }));
      return { state: "asked", detail: "" };
    }
    return { state: trouble.reached ? "unready" : "away", detail: trouble.message, origin: trouble.status === 0 };
  }
}

const LOOKS = {
  asked: { tone: "dim", sign: "…", word: "not known yet" },
  ready: { tone: "good", sign: "✓", word: "ready" },
  noted: { tone: "wait", sign: "!", word: "ready, with a note" },
  unready: { tone: "wait", sign: "!", word: "not ready" },
  away: { tone: "bad", sign: "✕", word: "cannot be reached" },
};

function draw() {
  const all = [...health.values()];
  keep(byId("services"), all, (it) => it.name, ({ name, state, detail }) => {
    const { tone, sign, word } = LOOKS[state];
    return h(`li.chip.${tone}`, { title: detail || word }, h("span.sign", { "aria-hidden": "true" }, sign), name, h("span.unseen", `: ${word}`));
  });
  keep(byId("troubles"), troubles(all), (it) => it.key, ({ tone, text }) => h(`p.trouble.${tone}`, text));
}

function troubles(all) {
  const lines = [];
  const off = all.filter((it) => it.state === "unready" && OFF_THE_BROKER.test(it.detail));
  if (off.length > 1) {
    const who = off.length === all.length ? "No service is" : `${off.map((it) => it.name).join(", ")} are not`;
    lines.push({ key: "broker", tone: "bad", text: `${who} connected to the broker (RabbitMQ): nothing moves on until it is back. Orders are still taken, and wait.` });
  }
  if (all.every((it) => it.origin)) {
    return [{ key: "origin", tone: "bad", text: `order-svc cannot be reached: ${location.host}, where all of this comes from, does not answer. What you see is as it was.` }];
  }
  for (const it of all) {
    if (it.state === "away") lines.push({ key: it.name, tone: "bad", text: `${it.detail.startsWith(it.name) ? it.detail : `${it.name}-svc cannot be reached: ${it.detail}`}. What it knows is missing here.` });
    else if (it.state === "unready" && !(off.length > 1 && off.includes(it))) lines.push({ key: it.name, tone: "wait", text: `${it.name}-svc is not ready: ${it.detail}.` });
    else if (it.state === "noted" && isOperator()) lines.push({ key: it.name, tone: "wait", text: `${it.name}-svc: ${it.detail}` });
  }
  return lines;
}
