// The box that is drawn on the query: by mouse, touch or keyboard, in shares of the picture.

import { h } from "./dom.js";

const LEAST = 0.05;
const STEP = 0.02;
const FIRST = [0.2, 0.2, 0.8, 0.8];
const CORNERS = { nw: [0, 1], ne: [2, 1], sw: [0, 3], se: [2, 3] };

const within = (value, low, high) => Math.min(high, Math.max(low, value));
const percent = (share) => `${Math.round(100 * share)} %`;

export class Crop {
  // `stage` holds the picture; `changed` is told the box, or null, when the hand lets go.
  constructor(stage, changed) {
    this.stage = stage;
    this.changed = (box) => changed(box && box.map((share) => Number(share.toFixed(4))));
    this.value = null;
    this.drawing = false;
    this.box = h("div", {
      class: "crop",
      tabindex: "0",
      role: "application",
      "aria-roledescription": "crop box",
      hidden: true,
      onkeydown: (event) => this.#key(event),
    });
    for (const corner of Object.keys(CORNERS)) this.box.append(h("span", { class: `handle ${corner}`, "data-corner": corner }));
    stage.append(this.box);
    stage.addEventListener("pointerdown", (event) => this.#down(event));
  }

  show(box) {
    this.value = box;
    this.box.hidden = !box;
    this.stage.classList.toggle("cropped", Boolean(box));
    if (!box) return;
    const [left, top, right, bottom] = box;
    for (const [name, share] of Object.entries({ left, top, right: 1 - right, bottom: 1 - bottom }))
      this.box.style.setProperty(`--${name}`, `${100 * share}%`);
    this.box.setAttribute(
      "aria-label",
      `Part to search by: from ${percent(left)} to ${percent(right)} across, ${percent(top)} to ${percent(bottom)} down. ` +
        "Arrow keys move it, with Shift they change its size, Escape takes the whole picture.",
    );
  }

  begin() {
    this.show(this.value ?? FIRST);
    this.changed(this.value);
    this.box.focus();
  }

  clear() {
    this.show(null);
    this.changed(null);
  }

  #at(event) {
    const frame = this.stage.getBoundingClientRect();
    return [within((event.clientX - frame.left) / frame.width, 0, 1), within((event.clientY - frame.top) / frame.height, 0, 1)];
  }

  #down(event) {
    if (event.button !== 0) return;
    const inBox = this.box.contains(event.target);
    if (event.pointerType === "touch" && !inBox) return;
    event.preventDefault();
    const before = this.value;
    const start = this.#at(event);
    const corner = CORNERS[event.target.dataset.corner];
    const move = (moved) => {
      const [x, y] = this.#at(moved);
      if (corner) this.show(this.#cornered(before, corner, x, y));
      else if (inBox) this.show(this.#shifted(before, x - start[0], y - start[1]));
      else if (Math.abs(x - start[0]) > LEAST && Math.abs(y - start[1]) > LEAST)
        this.show([Math.min(x, start[0]), Math.min(y, start[1]), Math.max(x, start[0]), Math.max(y, start[1])]);
    };
    const up = () => {
      this.stage.removeEventListener("pointermove", move);
      this.stage.removeEventListener("pointerup", up);
      this.stage.removeEventListener("pointercancel", up);
      if (String(this.value) !== String(before)) this.changed(this.value);
      if (this.value) this.box.focus();
    };
    this.stage.setPointerCapture(event.pointerId);
    this.stage.addEventListener("pointermove", move);
    this.stage.addEventListener("pointerup", up);
    this.stage.addEventListener("pointercancel", up);
  }

  #cornered(box, [horizontal, vertical], x, y) {
    const moved = [...box];
    moved[horizontal] = horizontal === 0 ? Math.min(x, box[2] - LEAST) : Math.max(x, box[0] + LEAST);
    moved[vertical] = vertical === 1 ? Math.min(y, box[3] - LEAST) : Math.max(y, box[1] + LEAST);
    return moved;
  }

  #shifted([left, top, right, bottom], x, y) {
    const across = within(x, -left, 1 - right);
    const down = within(y, -top, 1 - bottom);
    return [left + across, top + down, right + across, bottom + down];
  }

  #key(event) {
    const towards = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] }[event.key];
    if (event.key === "Escape") this.clear();
    else if (towards) {
      const [across, down] = towards;
      const [left, top, right, bottom] = this.value;
      this.show(
        event.shiftKey
          ? [left, top, within(right + across, left + LEAST, 1), within(bottom + down, top + LEAST, 1)]
          : this.#shifted(this.value, across, down),
      );
      clearTimeout(this.waiting);
      this.waiting = setTimeout(() => this.changed(this.value), 400);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
