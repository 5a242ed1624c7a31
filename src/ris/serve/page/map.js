// The map: every picture of the store as a point, similar ones near each other; near enough, as a picture.

import { ask, get, whenReady } from "./api.js";
import { fileName, h, icon, many, number, say } from "./dom.js";
import { Grid, LEVELS, levelled, ordered, room } from "./levels.js";

const SHEET = { pictures: 64, columns: 8, side: 80 };
const LEAST_ROOM = 38; // screen pixels from which a picture is drawn
const SHARE = 0.86; // of its room that a picture fills
const MOST_SIDE = 96;
const SHEETS_KEPT = 48;
const SHEETS_AT_ONCE = 3;
const REACH = 14; // screen pixels within which a point is meant
const ZOOM = [0.7, 4000];

let kept = null; // the map of one generation, and where it was left

export async function map(root, state, tools, signal) {
  if (kept?.generation !== tools.store.generation) kept = { generation: tools.store.generation, ...(await load(root, tools, signal)) };
  if (signal.aborted) return;
  const canvas = h("canvas", {
    tabindex: "0",
    role: "application",
    "aria-roledescription": "map",
    "aria-label": `Map of ${many(kept.x.length, "picture")}. Arrow keys move, plus and minus zoom, Enter searches from the picture in the middle.`,
  });
  const tip = h("div", { class: "tip", hidden: true });
  const note = h("p", { class: "note" }, "Near each other means similar. Click a picture to search from it.");
  const button = (name, text, act) => h("button", { type: "button", class: "quiet icon", "aria-label": text, title: text, onclick: act }, icon(name));
  const controls = h("div", { class: "zoom" });
  const frame = h("div", { class: "map" }, canvas, tip, controls, note);
  root.replaceChildren(h("h1", { class: "sr" }, "Map"), frame);
  const drawn = new Drawn(kept, canvas, tip, tools, state, signal);
  controls.append(
    button("plus", "Nearer", () => drawn.zoom(1.8)),
    button("minus", "Farther", () => drawn.zoom(1 / 1.8)),
    button("fit", "The whole map", () => drawn.fit()),
  );
  if (!state.query) return;
  const at = await whereIs(state, signal);
  drawn.mark(at, tools.cut(state.box));
  const exact = state.query.row !== undefined && !state.box;
  controls.append(button("image", "To your picture", () => drawn.visit()));
  note.textContent = exact
    ? "The ring is your picture. Click another to search from it."
    : "The ring is about where your picture belongs: near its nearest neighbours. Click a picture to search from it.";
}

async function load(root, tools, signal) {
  const bar = h("progress", { max: 1, "aria-label": "Drawing the map" });
  const how = h("p", { class: "told" }, "This takes a moment the first time.");
  root.replaceChildren(h("div", { class: "heading" }, h("h1", {}, "Map"), how, bar));
  const response = await whenReady(
    "/api/map",
    ({ done, total }) => {
      if (!total) return;
      bar.value = done / total;
      how.textContent = `Drawing the map: ${Math.round((100 * done) / total)} %`;
    },
    signal,
  );
  const bytes = await response.arrayBuffer();
  const count = bytes.byteLength / 16;
  const rows = new Int32Array(bytes, 0, count);
  const labels = new Int32Array(bytes, 4 * count, count);
  const places = new Float32Array(bytes, 8 * count, 2 * count);
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (let i = 0; i < count; i++) {
    left = Math.min(left, places[2 * i]);
    right = Math.max(right, places[2 * i]);
    top = Math.min(top, places[2 * i + 1]);
    bottom = Math.max(bottom, places[2 * i + 1]);
  }
  const side = Math.max(right - left, bottom - top, 1e-9);
  const toX = (x) => (x - left) / side + (1 - (right - left) / side) / 2;
  const toY = (y) => (y - top) / side + (1 - (bottom - top) / side) / 2;
  const x = Float64Array.from({ length: count }, (_, i) => toX(places[2 * i]));
  const y = Float64Array.from({ length: count }, (_, i) => toY(places[2 * i + 1]));
  const levels = levelled(x, y);
  const order = ordered(x, y, levels);
  const sorted = (array) => array.constructor.from(order, (i) => array[i]);
  const found = { x: sorted(x), y: sorted(y), levels: sorted(levels), rows: sorted(rows), labels: sorted(labels) };
  const deepest = levels.reduce((most, level) => (level < LEVELS ? Math.max(most, level) : most), 0);
  return { ...found, deepest, toX, toY, grid: new Grid(found.x, found.y), sheets: new Map(), view: null, names: tools.store.labels };
}

async function whereIs(state, signal) {
  if (state.query.row !== undefined && !state.box) {
    const i = kept.rows.indexOf(state.query.row);
    if (i >= 0) return { x: kept.x[i], y: kept.y[i] };
  }
  const { x, y } = await ask("/api/place", state.query, { box: state.box?.join(",") }, signal);
  return { x: kept.toX(x), y: kept.toY(y) };
}

function colours(count, dark) {
  const probe = h("canvas", { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
  return Array.from({ length: Math.max(1, count) }, (_, i) => {
    const css = `hsl(${(i * 137.508) % 360} ${dark ? 52 : 48}% ${dark ? 64 - (i % 3) * 7 : 44 + (i % 3) * 8}%)`;
    probe.fillStyle = css;
    probe.fillRect(0, 0, 1, 1);
    const [red, green, blue] = probe.getImageData(0, 0, 1, 1).data;
    return { css, pixel: (255 << 24) | (blue << 16) | (green << 8) | red };
  });
}

class Drawn {
  constructor(map, canvas, tip, tools, state, signal) {
    Object.assign(this, { map, canvas, tip, tools, state, signal });
    this.context = canvas.getContext("2d", { alpha: true });
    this.pointers = new Map();
    this.still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.#paint();
    const watcher = new ResizeObserver(() => this.#resize());
    watcher.observe(canvas.parentElement);
    signal.addEventListener("abort", () => {
      watcher.disconnect();
      cancelAnimationFrame(this.frame);
    });
    document.addEventListener("look", () => this.#paint(), { signal });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#paint(), { signal });
    for (const [type, act] of Object.entries({
      pointerdown: this.#down,
      pointermove: this.#move,
      pointerup: this.#up,
      pointercancel: this.#up,
      pointerleave: this.#leave,
      wheel: this.#wheel,
      keydown: this.#key,
    }))
      canvas.addEventListener(type, (event) => act.call(this, event), { passive: false });
  }

  zoom(factor, at = [this.width / 2, this.height / 2]) {
    const { goal } = this;
    const scale = Math.min(ZOOM[1], Math.max(ZOOM[0], goal.scale * factor));
    const [x, y] = this.#world(at, goal);
    this.#towards({
      scale,
      x: x - (at[0] - this.width / 2) / (scale * this.unit),
      y: y - (at[1] - this.height / 2) / (scale * this.unit),
    });
  }

  fit() {
    this.#towards({ x: 0.5, y: 0.5, scale: 0.92 });
  }

  mark(at, image) {
    this.marked = { ...at, image };
    this.#draw();
  }

  visit() {
    this.#towards({ x: this.marked.x, y: this.marked.y, scale: Math.max(this.goal.scale, 6) });
  }

  get unit() {
    return Math.min(this.width, this.height);
  }

  #world([x, y], { x: middleX, y: middleY, scale }) {
    return [middleX + (x - this.width / 2) / (scale * this.unit), middleY + (y - this.height / 2) / (scale * this.unit)];
  }

  #screen(x, y) {
    const scale = this.view.scale * this.unit;
    return [(x - this.view.x) * scale + this.width / 2, (y - this.view.y) * scale + this.height / 2];
  }

  #paint() {
    const dark = getComputedStyle(document.documentElement).getPropertyValue("--is-dark").trim() === "1";
    this.colours = colours(this.map.names.length, dark);
    const style = getComputedStyle(this.canvas);
    this.ink = { accent: style.getPropertyValue("--accent").trim(), card: style.getPropertyValue("--card").trim() };
    const chosen = this.state.labels;
    const faint = dark ? 0xff3a3836 : 0xffd6dade;
    this.pixels = Uint32Array.from(this.colours, ({ pixel }, i) => (chosen.length && !chosen.includes(this.map.names[i]?.name) ? faint : pixel));
    this.shown = (label) => !chosen.length || chosen.includes(this.map.names[label]?.name);
    this.#draw();
  }

  #resize() {
    const { clientWidth, clientHeight } = this.canvas.parentElement;
    if (!clientWidth || !clientHeight) return;
    this.width = clientWidth;
    this.height = clientHeight;
    this.ratio = Math.min(2, devicePixelRatio);
    this.canvas.width = Math.round(clientWidth * this.ratio);
    this.canvas.height = Math.round(clientHeight * this.ratio);
    this.image = this.context.createImageData(this.canvas.width, this.canvas.height);
    this.buffer = new Uint32Array(this.image.data.buffer);
    this.view ??= this.map.view ?? { x: 0.5, y: 0.5, scale: 0.92 };
    this.goal ??= this.view;
    this.#render();
  }

  #towards(goal) {
    this.goal = goal;
    if (this.still) this.view = goal;
    this.#draw();
  }

  #draw() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      if (this.image && !this.signal.aborted) this.#render();
    });
  }

  #render() {
    const { view, goal } = this;
    const apart = Math.abs(Math.log(goal.scale / view.scale)) + (Math.abs(goal.x - view.x) + Math.abs(goal.y - view.y)) * view.scale;
    if (apart > 1e-3) {
      const step = (name) => view[name] + (goal[name] - view[name]) * 0.28;
      this.view = { x: step("x"), y: step("y"), scale: view.scale * (goal.scale / view.scale) ** 0.28 };
      this.#draw();
    } else this.view = goal;
    this.map.view = this.goal;
    this.#points();
    this.#pictures();
    if (this.marked) this.#marker();
    this.canvas.dataset.drawn = String(this.visible);
  }

  #edges(margin) {
    const [left, top] = this.#world([-margin, -margin], this.view);
    const [right, bottom] = this.#world([this.width + margin, this.height + margin], this.view);
    return [left, top, right, bottom];
  }

  #points() {
    const { x, y, labels, grid } = this.map;
    const { buffer, ratio, pixels } = this;
    const [width, height] = [this.canvas.width, this.canvas.height];
    const scale = this.view.scale * this.unit * ratio;
    const shiftX = width / 2 - this.view.x * scale;
    const shiftY = height / 2 - this.view.y * scale;
    const dot = Math.max(1, Math.round(ratio * Math.min(7, 1.6 + 60 / Math.sqrt(x.length) + this.view.scale * 0.25)));
    const half = dot / 2;
    const spans = Array.from({ length: dot }, (_, line) => Math.round(Math.sqrt(Math.max(0, half ** 2 - (line + 0.5 - half) ** 2))));
    buffer.fill(0);
    this.visible = 0;
    const edge = dot + 1;
    grid.each(...this.#edges(dot), (i) => {
      const left = Math.round(x[i] * scale + shiftX);
      const top = Math.round(y[i] * scale + shiftY - half);
      if (left < edge || top < 0 || left >= width - edge || top >= height - edge) return;
      const colour = pixels[labels[i]];
      for (let line = 0; line < dot; line++) {
        const start = (top + line) * width + left - spans[line];
        for (let pixel = start; pixel < start + 2 * spans[line] + (dot & 1); pixel++) buffer[pixel] = colour;
      }
      this.visible++;
    });
    this.context.setTransform(1, 0, 0, 1, 0, 0);
    this.context.putImageData(this.image, 0, 0);
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
  }

  // Up to which level points are pictures, and their side on the screen.
  #pictured() {
    const perUnit = this.view.scale * this.unit;
    const level = Math.floor(Math.log2((perUnit * room(0)) / LEAST_ROOM));
    if (level < 0) return [-1, 0];
    if (level >= this.map.deepest) return [LEVELS, Math.min(MOST_SIDE, SHARE * room(this.map.deepest) * perUnit)];
    return [level, SHARE * room(level) * perUnit];
  }

  #pictures() {
    const { levels, x, y, labels, grid, sheets } = this.map;
    const { context } = this;
    const [level, side] = this.#pictured();
    if (level < 0) return;
    const now = performance.now();
    const wanted = new Set();
    context.lineWidth = 2;
    grid.each(...this.#edges(side), (i) => {
      if (levels[i] > level || !this.shown(labels[i])) return;
      const number = Math.floor(i / SHEET.pictures);
      const sheet = sheets.get(number);
      if (!sheet) return wanted.add(number);
      sheet.used = now;
      if (!sheet.since) return;
      const [middleX, middleY] = this.#screen(x[i], y[i]);
      const place = i % SHEET.pictures;
      const [left, top] = [middleX - side / 2, middleY - side / 2];
      context.globalAlpha = Math.min(1, (now - sheet.since) / 200);
      if (context.globalAlpha < 1) this.#draw();
      context.fillStyle = this.ink.card;
      context.fillRect(left - 2, top - 2, side + 4, side + 4);
      context.drawImage(
        sheet.image,
        (place % SHEET.columns) * SHEET.side,
        Math.floor(place / SHEET.columns) * SHEET.side,
        SHEET.side,
        SHEET.side,
        left,
        top,
        side,
        side,
      );
      context.fillStyle = this.colours[labels[i]]?.css;
      context.fillRect(left, top + side - 3, side, 3);
    });
    context.globalAlpha = 1;
    this.#fetch([...wanted]);
  }

  #fetch(numbers) {
    const { sheets, rows, generation } = this.map;
    const busy = [...sheets.values()].filter((sheet) => !sheet.since).length;
    for (const number of numbers.slice(0, Math.max(0, SHEETS_AT_ONCE - busy))) {
      const image = new Image();
      const sheet = { image, since: 0, used: performance.now() };
      sheets.set(number, sheet);
      const these = rows.subarray(number * SHEET.pictures, (number + 1) * SHEET.pictures);
      image.src = `/api/sheet?rows=${these.join(",")}&side=${SHEET.side}&v=${generation}`;
      image
        .decode()
        .then(() => (sheet.since = performance.now()))
        .catch(() => setTimeout(() => sheets.delete(number), 5000))
        .finally(() => this.#draw());
    }
    if (sheets.size <= SHEETS_KEPT) return;
    const oldest = [...sheets].filter(([, sheet]) => sheet.since).sort(([, one], [, other]) => one.used - other.used);
    for (const [number] of oldest.slice(0, sheets.size - SHEETS_KEPT)) sheets.delete(number);
  }

  #marker() {
    const { context, marked } = this;
    const [x, y] = this.#screen(marked.x, marked.y);
    const side = 52;
    if (marked.image) {
      const { width, height } = marked.image;
      const square = Math.min(width, height);
      context.save();
      context.beginPath();
      context.arc(x, y, side / 2, 0, 2 * Math.PI);
      context.clip();
      context.drawImage(marked.image, (width - square) / 2, (height - square) / 2, square, square, x - side / 2, y - side / 2, side, side);
      context.restore();
    }
    for (const [colour, line] of [[this.ink.card, 8], [this.ink.accent, 4]]) {
      context.beginPath();
      context.arc(x, y, side / 2 + 4, 0, 2 * Math.PI);
      context.strokeStyle = colour;
      context.lineWidth = line;
      context.stroke();
    }
  }

  #nearest([atX, atY]) {
    const { x, y, levels } = this.map;
    const [level, whole] = this.#pictured();
    const side = whole / 2;
    const reach = Math.max(REACH, side);
    const [left, top] = this.#world([atX - reach, atY - reach], this.view);
    const [right, bottom] = this.#world([atX + reach, atY + reach], this.view);
    let best = -1;
    let least = 1;
    this.map.grid.each(left, top, right, bottom, (i) => {
      const [pointX, pointY] = this.#screen(x[i], y[i]);
      const within = levels[i] <= level ? Math.max(side, 1) : REACH;
      const apart = Math.max(Math.abs(pointX - atX), Math.abs(pointY - atY)) / within;
      if (apart < least) [best, least] = [i, apart];
    });
    return best;
  }

  #at(event) {
    const frame = this.canvas.getBoundingClientRect();
    return [event.clientX - frame.left, event.clientY - frame.top];
  }

  #down(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, this.#at(event));
    this.moved = this.pointers.size > 1;
  }

  #move(event) {
    const at = this.#at(event);
    const before = this.pointers.get(event.pointerId);
    if (!before) return void this.#hover(at);
    const others = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
    if (Math.hypot(at[0] - before[0], at[1] - before[1]) < 3 && !this.moved) return;
    this.moved = true;
    this.tip.hidden = true;
    this.pointers.set(event.pointerId, at);
    const scale = this.goal.scale * this.unit;
    const share = others.length ? 0.5 : 1;
    this.goal = { ...this.goal, x: this.goal.x - (share * (at[0] - before[0])) / scale, y: this.goal.y - (share * (at[1] - before[1])) / scale };
    if (others.length) {
      const [other] = others;
      const apart = ([x, y]) => Math.hypot(x - other[0], y - other[1]);
      this.zoom(apart(at) / Math.max(1, apart(before)), [(at[0] + other[0]) / 2, (at[1] + other[1]) / 2]);
    }
    this.view = this.goal;
    this.#draw();
  }

  #up(event) {
    const at = this.#at(event);
    if (!this.pointers.delete(event.pointerId)) return;
    if (event.type !== "pointerup" || this.moved || this.pointers.size) return;
    const hit = this.#nearest(at);
    if (hit >= 0) this.tools.open(this.map.rows[hit]);
  }

  #leave() {
    this.tip.hidden = true;
  }

  #wheel(event) {
    event.preventDefault();
    this.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0022)), this.#at(event));
  }

  #key(event) {
    const step = 0.12 / this.goal.scale;
    const towards = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
    const middle = [this.width / 2, this.height / 2];
    if (towards) {
      this.#towards({ ...this.goal, x: this.goal.x + towards[0], y: this.goal.y + towards[1] });
      clearTimeout(this.settle);
      this.settle = setTimeout(() => this.#hover(middle, true), 350);
    } else if (event.key === "+" || event.key === "=") this.zoom(1.5);
    else if (event.key === "-") this.zoom(1 / 1.5);
    else if (event.key === "0") this.fit();
    else if (event.key === "Enter") {
      const hit = this.#nearest(middle);
      if (hit >= 0) this.tools.open(this.map.rows[hit]);
    } else return;
    event.preventDefault();
  }

  async #hover(at, aloud = false) {
    const hit = this.#nearest(at);
    this.canvas.classList.toggle("over", hit >= 0);
    if (hit === this.hovered && !this.tip.hidden) return;
    this.hovered = hit;
    this.tip.hidden = true;
    if (hit < 0) return;
    await new Promise((resolve) => setTimeout(resolve, 60));
    if (this.hovered !== hit || this.signal.aborted) return;
    const picture = await get(`/api/pictures/${this.map.rows[hit]}`, {}, this.signal).catch(() => null);
    if (!picture || this.hovered !== hit) return;
    const name = picture.label || fileName(picture.path);
    this.tip.replaceChildren(h("img", { src: picture.thumbnail, alt: "", vars: { "aspect-ratio": `${picture.width} / ${picture.height}` } }), h("span", {}, name));
    const [x, y] = this.#screen(this.map.x[hit], this.map.y[hit]);
    this.tip.style.setProperty("--x", `${Math.min(this.width - 190, Math.max(10, x + 18))}px`);
    this.tip.style.setProperty("--y", `${y > this.height - 220 ? y - 200 : y + 18}px`);
    this.tip.hidden = false;
    if (aloud) say(`${name}, picture ${number(hit + 1)}`);
  }
}
