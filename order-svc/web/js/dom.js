// The few things that are done with the document everywhere. Text is only ever set as text.

/** An element: `h("a.row", {href: "#"}, "text", child)`. Functions are listeners, `null` and `false` are left out. */
export function h(what, ...rest) {
  const [name, ...classes] = what.split(".");
  const element = document.createElement(name || "div");
  if (classes.length) element.className = classes.join(" ");
  const first = rest[0];
  const isAttributes = first && typeof first === "object" && !(first instanceof Node) && !Array.isArray(first);
  for (const [key, value] of Object.entries(isAttributes ? rest.shift() : {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(key, value);
    else if (key === "value") element.value = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...rest.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** An SVG element. */
export function s(name, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

export const byId = (id) => document.getElementById(id);

/**
 * Makes `parent` hold one element an item, in their order. What has not changed stays as it is, with focus and selection; what is
 * made anew takes the focus over.
 */
export function keep(parent, items, keyOf, make) {
  const old = new Map([...parent.children].map((element) => [element.dataset.key, element]));
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = String(keyOf(item));
    const content = JSON.stringify(item);
    let element = old.get(key);
    if (element && element.keptContent === content) {
      old.delete(key);
    } else {
      const fresh = make(item);
      fresh.dataset.key = key;
      fresh.keptContent = content;
      if (element) {
        old.delete(key);
        replace(element, fresh, () => { if (place === element) place = fresh; });
      } else {
        parent.insertBefore(fresh, place);
      }
      element = fresh;
    }
    if (element === place) place = place.nextElementSibling;
    else parent.insertBefore(element, place);
  }
  for (const gone of old.values()) gone.remove();
}

function replace(element, fresh, moved) {
  const focused = element.contains(document.activeElement) ? document.activeElement : null;
  const focusable = "a, button, select, input, summary, [tabindex]";
  const index = focused ? [element, ...element.querySelectorAll(focusable)].indexOf(focused) : -1;
  const open = [...element.querySelectorAll("details")].map((it) => it.open);
  element.replaceWith(fresh);
  moved();
  [...fresh.querySelectorAll("details")].forEach((it, n) => { it.open = open[n] ?? it.open; });
  if (index >= 0) [fresh, ...fresh.querySelectorAll(focusable)][index]?.focus({ preventScroll: true });
}

/** Says something to those who listen to the page instead of looking at it. */
export function announce(text) {
  byId("said").textContent = text;
}

/** Runs `work` again and again, `every()` milliseconds after it has ended, while the page is visible and `wanted()`. */
export function repeat(work, every, wanted = () => true) {
  let timer = null;
  let running = false;
  let again = false;
  async function turn() {
    clearTimeout(timer);
    if (running) { again = true; return; }
    if (document.hidden || !wanted()) return;
    running = true;
    try { await work(); } finally { running = false; }
    if (again) { again = false; turn(); return; }
    timer = setTimeout(turn, every());
  }
  for (const event of ["visibilitychange", "view"]) document.addEventListener(event, turn);
  turn();
  return turn;
}
