// "What is similar?" and "Where is this picture?"

import { ask } from "./api.js";
import { h, icon, many, milliseconds, say } from "./dom.js";
import { arrows, card, proven } from "./grid.js";
import { Marks } from "./marks.js";
import { words } from "./start.js";
import { from, written } from "./state.js";

const MOST_FOUND = 100;
const MOST_NAMES = 6;

const filters = (state) => ({ label: state.labels, folder: state.folders, box: state.box?.join(",") });

function cards(hits, state, { viewer, cut }, marks) {
  const query = state.query;
  return hits.map((hit, at) =>
    card(hit, {
      href: written(from(state, hit.picture.row)),
      look: () => viewer.open(hits, at, () => cut(state.box)),
      query: query && !query.text && cut,
      box: state.box,
      marks,
    }),
  );
}

export async function similar(root, state, tools, signal) {
  const list = h("ul", { class: "grid", "aria-label": "Similar pictures" });
  const told = h("p", { class: "told" });
  const next = h("button", { type: "button", class: "button", hidden: true, onclick: () => more() }, "Show more");
  const hits = [];
  const marks = new Marks(state, tools.go);
  arrows(list);
  const load = async () => {
    const k = Math.min(hits.length + state.k, tools.store.max_k);
    const answer = await ask(
      state.query.text ? "/api/text" : "/api/search",
      state.query,
      { ...filters(state), k, offset: hits.length, like: state.like, unlike: state.unlike, index: state.index, max_distance: state.max, collapse: state.collapse || null },
      signal,
    );
    const first = hits.length;
    hits.push(...answer.hits);
    list.append(...cards(hits, state, tools, marks).slice(first));
    next.hidden = !answer.more || k >= tools.store.max_k;
    return answer;
  };
  let loading = false;
  const more = async () => {
    if (loading || signal.aborted) return;
    loading = true;
    try {
      await load();
      say(many(hits.length, "picture"));
    } catch (error) {
      if (error.name !== "AbortError") next.replaceWith(h("p", { class: "problem" }, error.message));
    } finally {
      loading = false;
    }
  };
  const [answer, before] = await Promise.all([load(), marks.before(signal)]);
  const same = hits.filter((hit) => hit.same_picture).length;
  const by = state.index === "auto" ? "" : ` by ${tools.store.index(state.index).label}`;
  if (hits.length) told.append(`The nearest first${by}, in ${milliseconds(answer.milliseconds)}. The number is the distance. Mark what is right or wrong, and search again.`);
  const heading = h("h1", {}, hits.length ? "Similar pictures" : "Nothing is that near");
  if (!hits.length) told.append("No picture passes the filters and the distance limit. Allow more of them.");
  if (same) told.append(" ", h("strong", { class: "yes" }, `${many(same, "picture")} ${same === 1 ? "is" : "are"} the very same.`));
  const asked = answer.meant && [words(tools.name, state.query.text), h("p", { class: "told" }, understood(answer))];
  root.replaceChildren(h("div", { class: "heading" }, heading, asked, told), ...(before ? [before] : []), list, h("div", { class: "more" }, next), marks.bar);
  say(`${many(hits.length, "similar picture")}, ${same} the very same`);
  const watcher = new IntersectionObserver(([entry]) => entry.isIntersecting && more(), { rootMargin: "300px" });
  watcher.observe(next);
  signal.addEventListener("abort", () => watcher.disconnect());
}

function understood({ meant, ignored }) {
  const names = meant.length > MOST_NAMES ? `${meant.slice(0, MOST_NAMES).join(", ")} and ${meant.length - MOST_NAMES} more` : meant.join(", ");
  return `Taken for: ${names}.${ignored.length ? ` Not understood: ${ignored.join(", ")}.` : ""}`;
}

export function rate(share) {
  const one = 1 / share;
  return Math.abs(one - Math.round(one)) < 0.01 ? `1 in ${Math.round(one).toLocaleString("en")}` : `${+(100 * share).toPrecision(2)} in 100`;
}

export async function where(root, state, tools, signal) {
  const answer = await ask("/api/find", state.query, { ...filters(state), k: Math.min(state.k, MOST_FOUND) }, signal);
  const here = answer.hits.filter((hit) => proven(hit)?.here);
  const rest = answer.hits.filter((hit) => !proven(hit)?.here);
  const changed = here.filter((hit) => !hit.same_picture).length;
  const itself = state.query.row !== undefined;
  const list = h("ul", { class: "grid large", "aria-label": "Where your picture is" });
  list.append(...cards(here, state, tools));
  arrows(list);
  const shown = [];
  if (answer.here === null) {
    shown.push(
      verdict("unknown", "This cannot be told here.", "The store keeps no local features, so nothing can be proven. “What is similar?” still works."),
    );
  } else if (answer.here) {
    const over = h("button", { type: "button", class: "button", "aria-pressed": "false", onclick: () => {
      const on = list.classList.toggle("lay");
      over.setAttribute("aria-pressed", String(on));
      for (const item of list.children) item.lay?.();
    } }, icon("layers"), "Lay your picture over it");
    shown.push(
      verdict(
        "yes",
        times(here.length, changed, itself),
        `The line shows where your picture lies in it${changed ? ", a box where it differs" : ""}. The threshold was chosen so that of pictures that are not in a store, ${rate(answer.false_positive_rate)} would be said to be here. ${milliseconds(answer.milliseconds)}.`,
        over,
      ),
      list,
    );
  } else {
    shown.push(
      verdict(
        "no",
        itself ? "Nowhere else." : "Not here.",
        `${itself ? "No other picture of the store shows it" : "This picture is not in the store"}, as far as geometry can tell. The threshold was chosen so that of pictures that are not in a store, ${rate(answer.false_positive_rate)} would be said to be here. ${milliseconds(answer.milliseconds)}.`,
      ),
    );
  }
  if (rest.length) {
    const others = h("ul", { class: "grid", "aria-label": "What looks most like it" });
    others.append(...cards(rest, state, tools));
    arrows(others);
    shown.push(h("h2", { class: "rest" }, "What looks most like it, without being proven"), others);
  }
  root.replaceChildren(...shown);
  say(shown[0].querySelector("h1").textContent);
}

function times(here, changed, itself) {
  if (changed === here) return here === 1 ? "Here, in a changed version." : `Here, in ${here} changed versions.`;
  const more = changed ? `, ${changed} of them changed` : "";
  if (itself) return `Here: ${here === 1 ? "once more" : `${here} times more`}${more}.`;
  return here === 1 ? "Here." : `Here, ${here} times${more}.`;
}

function verdict(kind, text, more, ...tools) {
  return h("div", { class: `heading verdict-box ${kind}` }, h("h1", {}, text), h("p", { class: "told" }, more), ...tools);
}
