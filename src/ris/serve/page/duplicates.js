// Pictures that are one picture, beside each other, and which of them to keep.

import { whenReady } from "./api.js";
import { day, h, icon, many, number, say, size } from "./dom.js";
import { arrows, card, shot } from "./grid.js";
import { START, from, written } from "./state.js";

const AT_ONCE = 40;

export async function duplicates(root, state, tools, signal) {
  const bar = h("progress", { max: 1, "aria-label": "Looking for duplicates" });
  const how = h("p", { class: "told" }, "Looking for them takes a moment the first time.");
  root.replaceChildren(h("div", { class: "heading" }, h("h1", {}, "Duplicates"), how, bar));
  const response = await whenReady(
    "/api/duplicates",
    ({ what, done, total }) => {
      how.textContent = total ? `${what}: ${number(done)} of ${number(total)}` : "Looking for duplicates…";
      if (total) bar.value = done / total;
    },
    signal,
  );
  const { groups, changed } = await response.json();
  const spare = groups.reduce((count, group) => count + group.pictures.length - 1, 0);
  const space = groups.flatMap((group) => group.pictures.filter((one) => one.row !== group.keep)).reduce((sum, one) => sum + one.bytes, 0);
  const text = groups.length
    ? `${many(groups.length, "picture")} ${groups.length === 1 ? "is" : "are"} here more than once: re-encoded, resized, cropped, turned or mirrored. ${many(spare, "copy", "copies")} could go, ${size(space)}. Nothing is deleted: take the list along.`
    : "No picture is here twice.";
  const list = h("div", { class: "groups" });
  const next = h("button", { type: "button", class: "button", onclick: () => more() }, "Show more");
  let shown = 0;
  const more = () => {
    list.append(...groups.slice(shown, shown + AT_ONCE).map((group, i) => drawn(group, shown + i, tools)));
    shown += AT_ONCE;
    next.hidden = shown >= groups.length;
  };
  more();
  root.replaceChildren(
    h(
      "div",
      { class: "heading" },
      h("h1", {}, groups.length ? "Duplicates" : "No duplicates"),
      h("p", { class: "told" }, text),
      groups.length > 0 &&
        h(
          "p",
          { class: "row" },
          h("a", { class: "button", href: "/api/duplicates.csv", download: "duplicates.csv" }, icon("save"), "Save as CSV"),
          h("a", { class: "button", href: "/api/duplicates", download: "duplicates.json" }, icon("save"), "Save as JSON"),
        ),
    ),
    list,
    h("div", { class: "more" }, next),
    h("div", { class: "groups", hidden: !changed.length }, h("h2", { class: "rest" }, "Changed versions: neither is spare"), changed.map((pair) => versions(pair, tools))),
  );
  say(groups.length ? many(groups.length, "group") : "No duplicates");
  const watcher = new IntersectionObserver(([entry]) => entry.isIntersecting && !next.hidden && more(), { rootMargin: "400px" });
  watcher.observe(next);
  signal.addEventListener("abort", () => watcher.disconnect());
}

function versions(pair, { viewer }) {
  const hits = [pair.one, pair.other].map((picture, i) => ({
    picture,
    outline: [[0, 0], [picture.width, 0], [picture.width, picture.height], [0, picture.height]],
    difference: { share: pair.difference.share, boxes: i ? pair.difference.boxes : pair.difference.query_boxes },
  }));
  const list = h("ul", { class: "grid", "aria-label": "A changed version" });
  hits.forEach((hit, i) => list.append(card(hit, { href: written(from(START, hit.picture.row)), look: () => viewer.open(hits, i) })));
  arrows(list);
  return h("section", { class: "group" }, list);
}

function drawn(group, at, { viewer }) {
  const hits = group.pictures.map((picture) => ({ picture }));
  const list = h("ul", { class: "grid", "aria-label": `Group ${at + 1}` });
  const kept = [...group.pictures].sort((one, other) => (other.row === group.keep) - (one.row === group.keep));
  for (const picture of kept) {
    const { link, ratio, text } = shot(picture, written(from(START, picture.row)));
    const keep = picture.row === group.keep;
    list.append(
      h(
        "li",
        { class: keep ? "card keep" : "card", vars: { "--ratio": ratio } },
        link,
        h("button", { type: "button", class: "look", "aria-label": `Look closer at ${text}`, onclick: () => viewer.open(hits, group.pictures.indexOf(picture)) }, icon("expand")),
        keep && h("p", { class: "badge still" }, icon("check"), "Keep"),
        h("p", { class: "path" }, picture.path),
        h("p", { class: "facts" }, h("span", {}, `${number(picture.width)} × ${number(picture.height)}`), h("span", {}, size(picture.bytes)), h("span", {}, day(picture.modified))),
        keep && h("p", { class: "why" }, group.why),
      ),
    );
  }
  arrows(list);
  return h("section", { class: "group", "aria-label": `Group ${at + 1}` }, list);
}
