// Begins: who is it, what do they want to see.

import { me, findOutWhetherOpen, findToken, isOperator, useToken } from "./api.js";
import { h, byId } from "./dom.js";
import { watchServices } from "./services.js";
import { showBooks } from "./books.js";
import { showFigures } from "./figures.js";
import { showHeld } from "./held.js";
import { showList } from "./list.js";
import { showPlace } from "./place.js";
import { follow, showStory } from "./story.js";

const VIEWS = [
  { id: "sagas", name: "Sagas" },
  { id: "held", name: "Held up", operator: true },
  { id: "figures", name: "Figures", operator: true },
  { id: "books", name: "Books", operator: true },
];

/** Is this view on the screen? */
const shown = (id) => () => !byId(id).hidden;

/** `#/sagas/<id>` is a saga, `#/books` a view. */
function route() {
  if (location.hash.startsWith("#token=")) {
    findToken();
    location.reload();
    return;
  }
  const [, wanted, id] = location.hash.split("/");
  const view = VIEWS.find((it) => it.id === wanted && (!it.operator || isOperator())) ?? VIEWS[0];
  for (const { id } of VIEWS) byId(id).hidden = id !== view.id;
  for (const link of byId("views").children) {
    if (link.dataset.view === view.id) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  byId("sagas").classList.toggle("one", Boolean(id));
  document.title = `${view.name} · Saga Explorer`;
  if (view.id === "sagas") follow(id || null);
  document.dispatchEvent(new CustomEvent("view"));
}

function offerViews() {
  const offered = VIEWS.filter((it) => !it.operator || isOperator());
  byId("views").replaceChildren(...offered.map(({ id, name }) => h("a", { href: `#/${id}`, "data-view": id }, name, h("b", { id: `${id}-count` }))));
  byId("who").textContent = me.token ? [...new Set([me.subject, ...me.roles])].join(", ") : "everybody is an operator here";
}

function askForToken(why) {
  const dialog = byId("token-dialog");
  byId("token-why").textContent = why;
  byId("token-text").value = "";
  dialog.returnValue = "";
  dialog.showModal();
  byId("token-text").focus();
}

byId("token-dialog").addEventListener("close", () => {
  const choice = byId("token-dialog").returnValue;
  if (choice === "forget") useToken(null);
  else if (choice !== "use") return;
  else if (!useToken(byId("token-text").value.trim())) return askForToken("That is no token.");
  location.reload();
});
byId("token-button").addEventListener("click", () => askForToken(me.token ? `You are ${me.subject}, ${me.roles.join(", ")}.` : "There is no token yet."));
document.addEventListener("refused", (event) => {
  if (!byId("token-dialog").open) askForToken(`The services refuse: ${event.detail}.`);
});
window.addEventListener("hashchange", route);

async function begin() {
  findToken();
  watchServices();
  for (;;) {
    try {
      if (await findOutWhetherOpen()) break;
      return askForToken("The services want to know. Nothing is shown without a token.");
    } catch {
      // The services' line says that order-svc does not answer.
      await new Promise((done) => setTimeout(done, 1000));
    }
  }
  offerViews();
  showStory();
  showList(shown("sagas"));
  showPlace();
  if (isOperator()) {
    showHeld(shown("held"));
    showFigures(shown("figures"));
    showBooks(shown("books"));
  }
  route();
}

begin();
