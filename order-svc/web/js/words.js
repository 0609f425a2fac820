// How things are called and how they look: every tone has a sign of its own, so that nothing is said by colour alone. (U+FE0E: the sign as
// text, not as a picture.)

export const LANES = ["order", "inventory", "payment", "notification"];

/** What an order can be; a status that is not here is shown as it is. */
export const STATUSES = {
  pending: { tone: "wait", sign: "…" },
  confirmed: { tone: "good", sign: "✓" },
  shipped: { tone: "good", sign: "➚" },
  delivered: { tone: "good", sign: "⌂" },
  cancelling: { tone: "comp", sign: "↩\uFE0E" },
  cancelled: { tone: "bad", sign: "✕" },
  returning: { tone: "comp", sign: "↩\uFE0E" },
  returned: { tone: "comp", sign: "⟲" },
};
export const UNDER_WAY = ["pending", "cancelling", "returning"];

/** What can become of a step. */
const VERDICTS = {
  open: { tone: "wait", sign: "…", means: "its transaction runs" },
  done: { tone: "good", sign: "✓", means: "took effect" },
  rejected: { tone: "bad", sign: "✕", means: "refused" },
  superseded: { tone: "dim", sign: "⊘", means: "came too late to matter" },
  intent: { tone: "wait", sign: "…", means: "calls outside" },
  undoing: { tone: "comp", sign: "↩\uFE0E", means: "is being reversed outside" },
  undone: { tone: "comp", sign: "↩\uFE0E", means: "took effect and was reversed" },
  fenced: { tone: "comp", sign: "⊘", means: "never ran, and never will" },
  "nothing-to-undo": { tone: "comp", sign: "–", means: "there was nothing to reverse" },
};

/** What is known of a step that has not happened. */
const EXPECTATIONS = {
  expected: { tone: "dim", sign: "◌", means: "is next" },
  late: { tone: "wait", sign: "◷", means: "should have happened by now" },
  waiting: { tone: "wait", sign: "◷", means: "waits for another attempt" },
  parked: { tone: "held", sign: "‖", means: "waits for a person" },
  unknown: { tone: "dim", sign: "?", means: "the service does not answer" },
};

const look = (table, word) => table[word] ?? { tone: "dim", sign: "•", means: "" };
export const ofStatus = (word) => look(STATUSES, word);
export const ofVerdict = (word) => look(VERDICTS, word);
export const ofExpectation = (word) => look(EXPECTATIONS, word);

/** `order` for `order-svc`. */
export const short = (service) => service.replace(/-svc$/, "");
/** An event without its version: `stock.reserved`. */
export const eventName = (type) => (type ?? "").replace(/\.v\d+$/, "");
/** Enough of an id to tell it from its neighbours: UUIDv7 begin alike. */
export const shortId = (id) => `…${String(id).slice(-8)}`;

export function money(minor, currency) {
  if (minor === null || minor === undefined) return "";
  try {
    const format = new Intl.NumberFormat("en", { style: "currency", currency, currencyDisplay: "code" });
    const digits = format.resolvedOptions().maximumFractionDigits;
    return `${(minor / 10 ** digits).toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits })} ${currency}`;
  } catch {
    return `${minor} ${currency}`;
  }
}

export const count = (n) => Number(n).toLocaleString("en");
export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

/** `3 s`, `4 min`, `2 h`, `5 d`. */
export function span(ms) {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 100) return `${Math.floor(seconds)} s`;
  if (seconds < 6000) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
}

/** Time since the order was placed: `+74 ms`, `+3.02 s`, `+4 min`. */
export function after(ms) {
  if (Math.abs(ms) < 1000) return `+${Math.round(ms)} ms`;
  if (Math.abs(ms) < 100000) return `+${(ms / 1000).toFixed(2)} s`;
  return `+${span(ms)}`;
}

export const clock = (at) => new Date(at).toLocaleTimeString("en-GB");
export const precise = (at) => {
  const date = new Date(at);
  return `${date.toLocaleDateString("en-CA")} ${date.toLocaleTimeString("en-GB")}.${String(date.getMilliseconds()).padStart(3, "0")}`;
};
