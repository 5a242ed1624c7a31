// One picture, large: where the query lies in it, and what is known of it.

import { day, distance, fileName, h, icon, number, size } from "./dom.js";
import { laid, outlined, proven } from "./grid.js";

export class Viewer {
  constructor(go) {
    this.go = go;
    this.dialog = h("dialog", { class: "viewer", "aria-label": "A picture, large" });
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
    this.dialog.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (step && event.target.type !== "range") this.#step(step);
    });
    document.body.append(this.dialog);
  }

  // `hits` can be gone through; `cut` returns the query's canvas, where there is a query.
  open(hits, at, cut) {
    Object.assign(this, { hits, at, cut });
    this.#show();
    if (!this.dialog.open) this.dialog.showModal();
  }

  close() {
    if (this.dialog.open) this.dialog.close();
  }

  #step(by) {
    const next = this.at + by;
    if (!this.hits[next]) return;
    this.at = next;
    this.#show();
  }

  #show() {
    const hit = this.hits[this.at];
    const { picture } = hit;
    const name = fileName(picture.path);
    const frame = h("div", { class: "frame", vars: { "--w": picture.width, "--h": picture.height } });
    frame.append(h("img", { src: picture.view, alt: name }));
    const facts = [
      ["Folder", picture.path.includes("/") ? picture.path.slice(0, picture.path.lastIndexOf("/")) : "(top)"],
      ["Size", `${number(picture.width)} × ${number(picture.height)}, ${size(picture.bytes)}`],
      ["Date", day(picture.modified)],
    ];
    if (hit.distance !== undefined) facts.push(["Distance", distance(hit.distance)]);
    const relation = proven(hit);
    if (relation) facts.push(["Points that agree", number(hit.inliers)]);
    if (hit.difference) facts.push(["Differs", `${Math.round(100 * hit.difference.share)} % of what both show`]);
    const proof = hit.outline && this.#proof(frame, hit);
    this.dialog.replaceChildren(
      h("div", { class: "stand" }, frame),
      h(
        "div",
        { class: "about" },
        h("button", { type: "button", class: "quiet icon close", "aria-label": "Close", onclick: () => this.close() }, icon("close")),
        h("h2", {}, name),
        relation && h("p", { class: relation.here ? "verdict yes" : "verdict" }, relation.here && icon("check"), relation.text),
        proof,
        h("dl", {}, ...facts.map(([term, fact]) => h("div", {}, h("dt", {}, term), h("dd", {}, fact)))),
        h("div", { class: "row" },
          h("button", { type: "button", class: "button strong", onclick: () => { this.close(); this.go(picture.row); } }, "Search from this picture"),
        ),
        h("div", { class: "row step" },
          h("button", { type: "button", class: "quiet icon", "aria-label": "The one before", disabled: !this.hits[this.at - 1], onclick: () => this.#step(-1) }, icon("left")),
          h("span", {}, `${this.at + 1} of ${this.hits.length}`),
          h("button", { type: "button", class: "quiet icon", "aria-label": "The next", disabled: !this.hits[this.at + 1], onclick: () => this.#step(1) }, icon("right")),
        ),
      ),
    );
  }

  #proof(frame, { picture, outline, difference }) {
    frame.append(outlined(picture, outline, difference?.boxes));
    const canvas = this.cut?.();
    if (!canvas) return h("p", { class: "note" }, "The line shows where your picture lies in it.");
    const layer = laid(canvas, picture, outline);
    frame.append(layer);
    const strength = h("input", {
      type: "range", min: "0", max: "100", value: "0",
      oninput: () => layer.style.setProperty("opacity", strength.value / 100),
    });
    layer.style.setProperty("opacity", 0);
    return h("label", { class: "over" }, h("span", {}, icon("layers"), "Lay your picture over it"), strength);
  }
}
