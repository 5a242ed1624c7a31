// Hits marked as right or wrong, and the search that is made anew with them.

import { get } from "./api.js";
import { h, icon, many, say } from "./dom.js";
import { shot } from "./grid.js";
import { MAX_MARKS, from, written } from "./state.js";

const KINDS = { like: { name: "right", sign: "check" }, unlike: { name: "wrong", sign: "close" } };

export class Marks {
  constructor(state, go) {
    Object.assign(this, { state, go });
    this.chosen = new Map();
    this.told = h("span", {});
    this.bar = h(
      "div",
      { class: "marked-bar", role: "group", "aria-label": "Marked pictures", hidden: true },
      this.told,
      h("button", { type: "button", class: "button strong", onclick: () => this.#search() }, "Search again"),
    );
  }

  // The two buttons of a hit.
  buttons(row, text) {
    const pair = Object.entries(KINDS).map(([kind, { name, sign }]) =>
      h("button", { type: "button", class: `judge ${kind}`, "aria-pressed": "false", "aria-label": `${text} is ${name}`, title: `This is ${name}`, onclick: () => press(kind) }, icon(sign)),
    );
    const press = (kind) => {
      if (this.chosen.get(row) === kind) this.chosen.delete(row);
      else this.chosen.set(row, kind);
      Object.keys(KINDS).forEach((one, i) => pair[i].setAttribute("aria-pressed", String(this.chosen.get(row) === one)));
      this.#tell();
    };
    return h("span", { class: "marks" }, ...pair);
  }

  // What was marked before, each to be taken back by a click.
  async before(signal) {
    const strips = await Promise.all(Object.keys(KINDS).map((kind) => this.#strip(kind, signal)));
    const some = strips.filter(Boolean);
    return some.length ? h("div", { class: "marked" }, ...some) : null;
  }

  async #strip(kind, signal) {
    const rows = this.state[kind];
    if (!rows.length) return null;
    const found = await Promise.all(rows.map((row) => get(`/api/pictures/${row}`, {}, signal).catch(() => null)));
    const items = found.filter(Boolean).map((picture) => {
      const { link, ratio, text } = shot(picture, written(from(this.state, picture.row)));
      const gone = () => this.go({ [kind]: rows.filter((row) => row !== picture.row) });
      const away = h("button", { type: "button", class: "look", "aria-label": `Take the mark of ${text} back`, title: "Take the mark back", onclick: gone }, icon("close"));
      return h("li", { class: "card", vars: { "--ratio": ratio } }, link, away);
    });
    const { name, sign } = KINDS[kind];
    return h("div", { class: `strip ${kind}` }, h("h2", {}, icon(sign), `Marked ${name}`), h("ul", { class: "grid" }, ...items));
  }

  #of(kind) {
    return [...this.chosen].filter(([, one]) => one === kind).map(([row]) => row);
  }

  #tell() {
    const counts = Object.entries(KINDS).map(([kind, { name }]) => [this.#of(kind).length, name]);
    this.told.textContent = counts.filter(([count]) => count).map(([count, name]) => `${count} ${name}`).join(", ");
    this.bar.hidden = !this.chosen.size;
    say(this.chosen.size ? `${many(this.chosen.size, "picture")} marked: ${this.told.textContent}` : "No picture is marked");
  }

  #search() {
    const joined = (kind) => [...new Set([...this.state[kind], ...this.#of(kind)])].slice(-MAX_MARKS);
    this.go({ like: joined("like"), unlike: joined("unlike") });
  }
}
