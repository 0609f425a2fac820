// From what the services know of a saga to the rows of its picture. Pure: no document, no requests.
//
// A row is something that happened (or is to happen) in one lane, at one time. Rows are in the order of time; links go from who said a
// message to who reacted to it.

import { LANES, after, eventName, ofExpectation, ofVerdict, short } from "./words.js";

/** Steps that have taken effect before they were undone are told twice: when they did, and when they did no more. */
const REVERSED = ["undone", "undoing"];
const ANSWER = "compensate";
const ON = /^on (.+)$/;
const SAID = /^said (.+)$/;

/**
 * @param timeline `GET /orders/{id}/timeline`
 * @param begun when the order was placed, in ms
 * @returns {{lanes: string[], rows: object[], links: object[]}}
 */
export function tell(timeline, begun) {
  const entries = timeline.entries ?? [];
  const rows = [
    ...entries.flatMap((entry) => ofEntry(entry, entries)),
    ...(timeline.faults ?? []).filter((it) => it.fired_at).map(ofFault),
  ];
  rows.sort((a, b) => a.time - b.time || a.rank - b.rank);
  rows.push(...(timeline.calls ?? []).map(ofCall));
  const held = [...(timeline.parked ?? []).map((it) => ofHeld(it, "parked")), ...(timeline.waiting ?? []).map((it) => ofHeld(it, "waiting"))];
  rows.push(...held);
  rows.push(...(timeline.expected ?? []).filter((it) => !held.some((row) => row.step === it.step && row.lane === short(it.service))).map(ofExpected));
  rows.push(...(timeline.silent ?? []).map(ofSilent));
  // The transaction that placed the order began before the order's own time.
  const start = Math.min(begun, ...rows.map((row) => row.time ?? begun));
  rows.forEach((row, n) => {
    row.n = n;
    row.key = `${row.lane} ${row.kind} ${row.step} ${row.message ?? ""}`;
    row.when = row.time === null ? "" : after(row.time - start);
    const before = rows[n - 1];
    row.gap = before && row.time !== null && before.time !== null && row.time - before.time >= 1000 ? row.time - before.time : 0;
  });
  return { lanes: lanesOf(rows), rows, links: linksOf(rows) };
}

/** A listener's step has its message in its name. */
const nameOf = (step) => step.replace(/:[0-9a-f]{8}-[0-9a-f-]{27}$/, "");
const time = (at) => (at ? new Date(at).getTime() : null);

function ofEntry(entry, entries) {
  const { service, step, verdict, detail } = entry;
  const lane = short(service);
  const look = ofVerdict(verdict);
  const base = { lane, step, at: entry.at, time: time(entry.at), rank: 1, message: entry.reacted_to?.message_id, on: entry.reacted_to?.type, says: null, saysId: null, notes: [] };
  const said = entry.said ? { says: entry.said.type, saysId: entry.said.message_id } : {};
  const answered = entries.some((it) => it.service === service && it.step === ANSWER);
  if (step === ANSWER) {
    const own = entries.filter((it) => it.service === service && it.step !== ANSWER);
    const undone = own.filter((it) => REVERSED.includes(it.verdict)).map((it) => `reverses ${it.step}`);
    const fenced = own.filter((it) => it.verdict === "fenced").map((it) => `${it.step} will never run`);
    return [{ ...base, ...said, kind: "undo", title: "compensate", tone: "comp", sign: look.sign, word: verdict, rank: 2, notes: [...undone, ...fenced, detail].filter(Boolean) }];
  }
  // It never ran: the line of the answer says so.
  if (verdict === "fenced" && answered) return [];
  if (!REVERSED.includes(verdict)) {
    const notes = [detail ?? (look.tone === "good" || look.tone === "bad" ? null : look.means)].filter(Boolean);
    return [{ ...base, ...said, kind: "step", title: nameOf(step), tone: look.tone, sign: look.sign, word: verdict, notes }];
  }
  const began = entry.begun_at ?? entry.at;
  const forward = { ...base, ...said, kind: "step", at: began, time: time(began), title: nameOf(step), tone: "gone", sign: "✓", word: verdict === "undone" ? "done, undone later" : "done, being undone", notes: [] };
  if (answered) return [forward];
  const cause = detail?.match(ON)?.[1] ?? null;
  const announced = detail?.match(SAID)?.[1] ?? null;
  return [forward, { ...base, kind: "undo", title: nameOf(step), tone: "comp", sign: look.sign, word: verdict, rank: 2, message: null, on: cause, says: announced, owner: true, notes: cause || announced ? [] : [detail ?? look.means] }];
}

function ofFault({ service, directive, fired_at, times_left }) {
  const [place, action] = directive.split("/").at(-1).split("=");
  const notes = [place.replace("@", " of "), times_left > 0 && times_left < 1000 && `${times_left} times more`].filter(Boolean);
  return { kind: "fault", lane: short(service), step: directive, title: action, at: fired_at, time: time(fired_at), rank: 0, tone: "fault", sign: "⚡\uFE0E", word: "fault fired", says: null, saysId: null, notes };
}

function ofCall({ service, step, phase, attempts, last_error, due_at }) {
  const notes = [`attempt ${attempts}`, last_error, `next ${due_at ? new Date(due_at).toLocaleTimeString("en-GB") : "soon"}`].filter(Boolean);
  return { kind: "call", lane: short(service), step, title: nameOf(step), at: null, time: null, tone: "wait", sign: "☎\uFE0E", word: phase === "undo" ? "calls outside to reverse" : "calls outside", says: null, saysId: null, notes };
}

function ofHeld({ service, step, message_id, attempts, reason, due_at }, state) {
  const next = state === "parked" ? "waits for a person" : `next ${new Date(due_at).toLocaleTimeString("en-GB")}`;
  const look = ofExpectation(state);
  return { kind: "held", lane: short(service), step, title: step === "-" ? "no step" : nameOf(step), at: null, time: null, message: message_id, tone: look.tone, sign: look.sign, word: state, says: null, saysId: null, notes: [`attempt ${attempts}`, reason, next].filter(Boolean), state };
}

function ofExpected({ service, step, reacts_to, message_id, state, said_at }) {
  const look = ofExpectation(state);
  const since = said_at ? `said at ${new Date(said_at).toLocaleTimeString("en-GB")}` : null;
  return { kind: "expected", lane: short(service), step, title: nameOf(step), at: null, time: null, message: message_id, on: reacts_to, tone: look.tone, sign: look.sign, word: state === "late" ? "missing" : state === "unknown" ? "not known" : state, says: null, saysId: null, notes: [look.means, since].filter(Boolean) };
}

const ofSilent = (service) => ({ kind: "silent", lane: short(service), step: "silent", title: `${service} does not answer`, at: null, time: null, tone: "bad", sign: "✕", word: "part not known", says: null, saysId: null, notes: ["what it did is missing here"] });

/** The four services in the order in which a saga meets them, and whoever else has something to tell. */
function lanesOf(rows) {
  const others = [...new Set(rows.map((row) => row.lane))].filter((lane) => !LANES.includes(lane));
  return [...LANES, ...others];
}

/** From who said it to who reacted. A failure that the owner says itself is no guard row's word: it leaves where the owner undoes. */
function linksOf(rows) {
  const said = new Map(rows.filter((row) => row.saysId).map((row) => [row.saysId, row]));
  const owner = rows.find((row) => row.owner && row.says);
  const links = [];
  for (const row of rows) {
    if (!row.message) continue;
    const from = said.get(row.message) ?? (row.kind === "undo" ? owner : null);
    if (!from || from === row || from.n > row.n) continue;
    row.on ??= from.says;
    links.push({ from: from.n, to: row.n, tone: toneOf(from, row) });
  }
  // The owner's own undo has no message of its own in its row: it reacts to the failure that is named.
  for (const row of rows) {
    const from = row.owner && row.on && rows.find((it) => it.says && eventName(it.says) === eventName(row.on) && it.n < row.n);
    if (from) links.push({ from: from.n, to: row.n, tone: "bad" });
  }
  return links;
}

function toneOf(from, to) {
  if (from.tone === "bad" || (from.owner && to.kind === "undo")) return "bad";
  if (from.kind === "undo" || to.kind === "undo") return "comp";
  return to.kind === "expected" || to.kind === "held" ? to.tone : "plain";
}

/** One sentence for those who do not see the picture. */
export function sentence(row) {
  const parts = [`${row.lane}-svc`, row.title, row.kind === "undo" ? "compensation:" : "", row.word, row.when && `at ${row.when}`, row.on && `on ${eventName(row.on)}`, row.says && `says ${eventName(row.says)}`, ...row.notes];
  return parts.filter(Boolean).join(", ").replace(":,", ":");
}
