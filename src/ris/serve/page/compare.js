// The same query through every index, in columns; what differs from the exact one is marked.

import { ask } from "./api.js";
import { distance, h, many, milliseconds, say } from "./dom.js";
import { arrows, shot } from "./grid.js";
import { from, written } from "./state.js";

const MOST = 24;

export async function compare(root, state, tools, signal) {
  const k = Math.min(state.k, MOST);
  const { columns } = await ask(
    "/api/compare",
    state.query,
    { k, label: state.labels, folder: state.folders, box: state.box?.join(",") },
    signal,
  );
  for (const column of columns) Object.assign(column, tools.store.index(column.index));
  const [exact] = columns;
  const ranks = new Map(exact.hits.map((hit, rank) => [hit.picture.row, rank + 1]));
  const slowest = Math.max(...columns.map((column) => column.milliseconds));
  const board = h("div", { class: "columns" }, columns.map((column) => drawn(column, exact, ranks, slowest, state)));
  for (const type of ["pointerover", "focusin"])
    board.addEventListener(type, (event) => {
      const row = event.target.closest?.("[data-row]")?.dataset.row;
      for (const link of board.querySelectorAll("[data-row]")) link.parentElement.classList.toggle("twin", link.dataset.row === row);
    });
  root.replaceChildren(
    h(
      "div",
      { class: "heading" },
      h("h1", {}, "The same question, every index"),
      h("p", { class: "told" }, "The time is that of the search alone. ", h("mark", {}, "Marked"), ` is what stands elsewhere than by ${exact.label}.`),
    ),
    board,
  );
  say(columns.map((column) => `${column.label}: ${milliseconds(column.milliseconds)}`).join(", "));
}

function drawn(column, exact, ranks, slowest, state) {
  const list = h("ol", { "aria-label": column.label });
  let shared = 0;
  column.hits.forEach((hit, i) => {
    const rank = ranks.get(hit.picture.row);
    if (rank) shared += 1;
    const differs = rank !== i + 1;
    const { link } = shot(hit.picture, written({ ...from(state, hit.picture.row), view: "compare" }));
    list.append(
      h(
        "li",
        { class: differs ? "differs" : "" },
        h("span", { class: "rank" }, String(i + 1)),
        link,
        h("span", { class: "number" }, distance(hit.distance)),
        differs && h("mark", {}, rank ? `${exact.label}: ${rank}` : "not there"),
      ),
    );
  });
  arrows(list);
  const agreement = column === exact ? "the measure" : `${shared} of ${many(column.hits.length, "hit")} as by ${exact.label}`;
  return h(
    "section",
    { class: "column" },
    h("h2", {}, column.label),
    h("p", { class: "note" }, column.note),
    h("p", { class: "latency" }, milliseconds(column.milliseconds)),
    h("div", { class: "gauge", vars: { "--share": column.milliseconds / slowest }, "aria-hidden": "true" }),
    h("p", { class: "note" }, agreement),
    list,
  );
}
