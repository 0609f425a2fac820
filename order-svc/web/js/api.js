// Asks the services, all under this page's own origin: /services/<name>/.., as the gateway has it.

const PATIENCE_MS = 10_000;
const KEY = "ordersaga.token";

/** Who the page speaks for; `roles` decide what is offered, the services decide what is allowed. */
export const me = { token: null, subject: null, roles: [] };
export const isOperator = () => me.roles.includes("operator");

/** Something that was asked for did not come. `reached` is false if nobody answered who knows. */
export class Trouble extends Error {
  constructor(service, status, detail) {
    super(detail);
    Object.assign(this, { service, status, reached: ![0, 502, 504].includes(status) });
  }
}

/** Takes a token over; false if it is none. `null` forgets. */
export function useToken(token) {
  sessionStorage.removeItem(KEY);
  Object.assign(me, { token: null, subject: null, roles: [] });
  if (token === null) return true;
  try {
    const claims = JSON.parse(decode(token.split(".")[1]));
    Object.assign(me, { token, subject: claims.sub ?? "?", roles: claims.roles ?? [] });
  } catch {
    return false;
  }
  sessionStorage.setItem(KEY, token);
  return true;
}

function decode(base64url) {
  const bytes = atob(base64url.replaceAll("-", "+").replaceAll("_", "/"));
  return new TextDecoder().decode(Uint8Array.from(bytes, (it) => it.charCodeAt(0)));
}

/** The token of the address (which is taken out of it at once), or of this tab. */
export function findToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given !== null) history.replaceState(null, "", location.pathname);
  const kept = sessionStorage.getItem(KEY);
  // A link from somebody else must not silently make this tab speak for somebody else.
  const ours = given !== null && kept !== null && given !== kept
    && !confirm("This link brings a token of its own. Use it instead of the one that this tab has?");
  const token = ours ? kept : given ?? kept;
  if (token) useToken(token);
}

/** Without a token everybody is an operator, or nobody is anything: the services know which. */
export async function findOutWhetherOpen() {
  if (me.token) return true;
  try {
    await ask("order", "/orders?limit=1");
  } catch (trouble) {
    if (trouble.status === 401) return false;
    throw trouble;
  }
  Object.assign(me, { subject: "everybody", roles: ["operator"] });
  return true;
}

const address = (service, path) => `/services/${service}${path}`;

function headers(more) {
  return me.token ? { authorization: `Bearer ${me.token}`, ...more } : { ...more };
}

/** The answer of `fetch`, whatever its status. */
async function send(service, path, { method = "GET", body, more, signal } = {}) {
  const patience = AbortSignal.timeout(PATIENCE_MS);
  const json = body === undefined ? {} : { "content-type": "application/json" };
  try {
    return await fetch(address(service, path), {
      method,
      headers: headers({ ...json, ...more }),
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: signal ? AbortSignal.any([signal, patience]) : patience,
      cache: "no-store",
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Trouble(service, 0, `${location.host} does not answer`);
  }
}

async function problem(service, response) {
  const text = await response.text().catch(() => "");
  let detail = response.statusText || `status ${response.status}`;
  try { detail = JSON.parse(text).detail ?? detail; } catch { /* no problem document */ }
  return new Trouble(service, response.status, detail);
}

/** The JSON of an answer. @throws {Trouble} */
export async function ask(service, path, options) {
  const response = await send(service, path, options);
  if (!response.ok) throw await problem(service, response);
  try { return await response.json(); } catch { throw new Trouble(service, 502, "the answer cannot be read"); }
}

/** The text of an answer. @throws {Trouble} */
export async function askText(service, path) {
  const response = await send(service, path);
  if (!response.ok) throw await problem(service, response);
  return response.text();
}

/** Server-sent events, with a token: `EventSource` cannot send one. Ends when the service ends it. */
export async function events(service, path, signal, heard) {
  const response = await fetch(address(service, path), { headers: headers(), signal, cache: "no-store" });
  if (!response.ok) throw await problem(service, response);
  let text = "";
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    const parts = text.split("\n\n");
    text = parts.pop();
    for (const part of parts) {
      const field = (name) => part.split("\n").filter((line) => line.startsWith(`${name}:`)).map((line) => line.slice(name.length + 1).trim());
      const [name] = field("event");
      if (name) heard(name, JSON.parse(field("data").join("\n")));
    }
  }
}
