// Before there is a query: how to begin, and the store's own pictures to begin with.

import { get } from "./api.js";
import { h, icon, many, number, say } from "./dom.js";
import { arrows, card } from "./grid.js";
import { fileChoice } from "./panel.js";
import { MAX_TEXT, from, written } from "./state.js";

const AT_ONCE = 60;

// Words to search with, as far as the store's network knows them.
export function words(name, text = "") {
  const field = h("input", { type: "search", required: true, maxlength: MAX_TEXT, value: text, placeholder: "umbrella, musical instrument", "aria-label": "Words to search with" });
  const submit = (event) => {
    event.preventDefault();
    if (field.value.trim()) name(field.value.trim());
  };
  return h("form", { class: "address", role: "search", onsubmit: submit }, field, h("button", { class: "button", "aria-label": "Search by words" }, "Search"));
}

export async function start(root, state, { store, choose, name, viewer }, signal) {
  const field = h("input", { type: "url", required: true, placeholder: "https://", "aria-label": "Address of a picture" });
  const address =
    store.urls &&
    h("form", { class: "address", onsubmit: (event) => { event.preventDefault(); choose({ url: field.value.trim() }); } }, field, h("button", { class: "button" }, "Search"));
  const list = h("ul", { class: "grid", "aria-label": "Pictures of the store" });
  arrows(list);
  const next = h("button", { type: "button", class: "button", hidden: true, onclick: () => more() }, "Show more");
  const pictures = [];
  let loading = false;
  const more = async () => {
    if (loading || signal.aborted) return;
    loading = true;
    try {
      const answer = await get("/api/pictures", { offset: pictures.length, limit: AT_ONCE, mixed: true }, signal);
      const first = pictures.length;
      pictures.push(...answer.pictures.map((picture) => ({ picture })));
      list.append(
        ...pictures.slice(first).map((hit, i) =>
          card(hit, { href: written(from(state, hit.picture.row)), look: () => viewer.open(pictures, first + i) }),
        ),
      );
      next.hidden = pictures.length >= answer.total;
    } finally {
      loading = false;
    }
  };
  const empty = store.pictures === 0;
  root.replaceChildren(
    h(
      "section",
      { class: "welcome" },
      h("h1", {}, "Search by picture"),
      h("p", {}, empty ? "This store holds no pictures yet." : `Find what is similar among ${many(store.pictures, "picture")}, or where a very picture is.`),
      h(
        "div",
        { class: "drop" },
        icon("image"),
        h("p", {}, "Drop a picture anywhere, paste it, or"),
        fileChoice("Choose a picture", choose, true),
        address,
        !empty && words(name),
      ),
    ),
    empty ? "" : h("h2", { class: "rest" }, `Or begin with one of the ${number(store.pictures)} pictures that are here`),
    list,
    h("div", { class: "more" }, next),
  );
  say("Choose a picture to search with");
  await more();
  const watcher = new IntersectionObserver(([entry]) => entry.isIntersecting && !next.hidden && more(), { rootMargin: "600px" });
  watcher.observe(next);
  signal.addEventListener("abort", () => watcher.disconnect());
}
