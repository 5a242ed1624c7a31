// The page as a whole: the address says what is shown, and everything that is clicked changes the address.

import { Refused, get } from "./api.js";
import { compare } from "./compare.js";
import { h, icon, many, say } from "./dom.js";
import { duplicates } from "./duplicates.js";
import { map } from "./map.js";
import { Panel } from "./panel.js";
import { similar, where } from "./search.js";
import { start } from "./start.js";
import { START, from, keep, read, written } from "./state.js";
import { Viewer } from "./viewer.js";

const element = (id) => document.getElementById(id);
const answers = element("answers");
const TITLES = { search: "Search", compare: "Side by side", map: "Map", duplicates: "Duplicates" };

let state;
let shown = new AbortController();
let panel;
let tools;

const here = (place, kept) => read(place, kept, tools.store.indexes);

function go(changes) {
  const next = { ...state, ...changes };
  history.pushState({ upload: next.query?.upload }, "", written(next));
  if (next.query !== state.query || next.view !== state.view) scrollTo({ top: 0 });
  state = next;
  render();
}

const open = (row) => go(from(state, row));

function choose(query) {
  const picked = query.file;
  if (picked && picked.size > tools.store.max_bytes - 1000) {
    tell(`That file is too large: at most ${Math.floor(tools.store.max_bytes / 1e6)} MB are taken.`);
    return;
  }
  go({ query: keep(query), box: null, like: [], unlike: [], view: state.view === "duplicates" ? "search" : state.view });
}

const name = (text) => go({ query: { text }, box: null, like: [], unlike: [], view: "search", ask: "similar" });

function tell(message) {
  answers.replaceChildren(h("div", { class: "heading" }, h("h1", {}, "That did not work"), h("p", { class: "problem" }, message)));
  say(message);
}

async function render() {
  shown.abort();
  shown = new AbortController();
  const { signal } = shown;
  tools.viewer.close();
  document.body.dataset.view = state.view;
  document.title = `${TITLES[state.view]} · ${tools.store.name}`;
  for (const link of document.querySelectorAll("[data-view]")) {
    link.href = written({ ...state, view: link.dataset.view });
    if (link.dataset.view === state.view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  answers.ariaBusy = "true";
  const slow = setTimeout(() => answers.classList.add("waits"), 150);
  try {
    await panel.show(state);
    if (signal.aborted) return;
    if (state.view === "duplicates") await duplicates(answers, state, tools, signal);
    else if (state.view === "map") await map(answers, state.query?.text ? { ...state, query: null } : state, tools, signal);
    else if (state.query?.text) await similar(answers, state, tools, signal);
    else if (!state.query) await start(answers, state, tools, signal);
    else if (state.view === "compare") await compare(answers, state, tools, signal);
    else if (state.ask === "where") await where(answers, state, tools, signal);
    else await similar(answers, state, tools, signal);
  } catch (error) {
    if (error.name === "AbortError") return;
    if (!(error instanceof Refused)) console.error(error);
    tell(error instanceof Refused ? error.message : "Something on this page went wrong; reload it.");
  } finally {
    clearTimeout(slow);
    if (!signal.aborted) {
      answers.classList.remove("waits");
      answers.ariaBusy = "false";
    }
  }
}

function look() {
  const LOOKS = [["auto", "half", "Look: as the system has it"], ["light", "sun", "Look: light"], ["dark", "moon", "Look: dark"]];
  const button = element("theme");
  const draw = () => {
    const chosen = document.documentElement.dataset.look ?? "auto";
    const [, sign, text] = LOOKS.find(([name]) => name === chosen);
    button.replaceChildren(icon(sign));
    button.setAttribute("aria-label", text);
    button.title = text;
    return chosen;
  };
  button.addEventListener("click", () => {
    const names = LOOKS.map(([name]) => name);
    const next = names[(names.indexOf(draw()) + 1) % names.length];
    if (next === "auto") delete document.documentElement.dataset.look;
    else document.documentElement.dataset.look = next;
    localStorage.setItem("look", next);
    draw();
    document.dispatchEvent(new Event("look"));
  });
  draw();
}

function listen() {
  document.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
    const link = event.target.closest?.("a");
    if (!link || link.origin !== location.origin || link.hasAttribute("download") || link.pathname !== "/" || link.hash) return;
    event.preventDefault();
    if (link.dataset.start !== undefined) go({ ...START });
    else if (link.dataset.view) go({ view: link.dataset.view });
    else go(here(link, null));
  });
  addEventListener("popstate", () => {
    state = here(location, history.state);
    render();
  });
  document.addEventListener("paste", (event) => {
    const file = [...event.clipboardData.files].find((one) => one.type.startsWith("image/"));
    if (file) choose({ file });
    else if (tools.store.urls && !/^(INPUT|SELECT)$/.test(document.activeElement.tagName)) {
      const text = event.clipboardData.getData("text").trim();
      if (/^https?:\/\/\S+$/.test(text)) choose({ url: text });
    }
  });
  const curtain = element("curtain");
  const carriesFile = (event) => [...event.dataTransfer.types].includes("Files");
  document.addEventListener("dragover", (event) => {
    if (!carriesFile(event)) return;
    event.preventDefault();
    curtain.hidden = false;
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) curtain.hidden = true;
  });
  document.addEventListener("drop", (event) => {
    if (!carriesFile(event)) return;
    event.preventDefault();
    curtain.hidden = true;
    if (event.dataTransfer.files[0]) choose({ file: event.dataTransfer.files[0] });
  });
}

look();
try {
  const [about, labels, folders] = await Promise.all([get("/api/about"), get("/api/labels"), get("/api/folders")]);
  const distinct = folders.length === labels.length && folders.every((folder, i) => folder === labels[i].name) ? [] : folders;
  const index = (name) => about.indexes.find((one) => one.name === name);
  const store = { ...about, index, labels, folders: distinct.map((name) => ({ name })) };
  element("store-name").textContent = store.name.replace(/\.ris$/, "");
  element("store-size").textContent = many(store.pictures, "picture");
  panel = new Panel(element("panel"), store, go, choose);
  tools = { store, choose, name, go, open, viewer: new Viewer(open), cut: (box) => panel.cut(box) };
  state = here(location, history.state);
  listen();
  await render();
} catch (error) {
  tell(error.message);
}
