// The query: its picture with the crop box, the two questions, and the switches.

import { preview, get } from "./api.js";
import { Crop } from "./crop.js";
import { fileName, h, icon, number } from "./dom.js";
import { MAX_DISTANCE, SIZES } from "./state.js";

const QUESTIONS = { similar: "What is similar?", where: "Where is this picture?" };
const SHOWN_CHOICES = 200;

export class Panel {
  constructor(root, store, go, choose) {
    Object.assign(this, { root, store, go, choose });
    this.image = h("img", { alt: "", draggable: "false" });
    this.stage = h("div", { class: "stage" }, this.image);
    this.crop = new Crop(this.stage, (box) => this.go({ box }));
    this.name = h("p", { class: "name" });
    this.whole = h("button", { type: "button", class: "quiet", onclick: () => this.crop.clear() }, "Whole picture");
    this.part = h("button", { type: "button", class: "quiet", onclick: () => this.crop.begin() }, icon("crop"), "Search by a part");
    const another = fileChoice("Another picture", choose);
    this.questions = h("fieldset", { class: "questions" }, h("legend", { class: "sr" }, "Question"), ...this.#questions());
    this.switches = h("details", { class: "switches" }, h("summary", {}, "Filters and settings", icon("down")), ...this.#switches());
    this.switches.open = matchMedia("(min-width: 60rem)").matches;
    root.append(
      h("div", { class: "picture" }, this.stage, this.name, h("div", { class: "tools" }, this.part, this.whole, another)),
      this.questions,
      this.switches,
    );
  }

  async show(state) {
    const picture = state.query && !state.query.text;
    this.root.hidden = !picture || state.view === "duplicates";
    if (!picture) return;
    const where = state.view === "search" && state.ask === "where";
    this.root.classList.toggle("asks-where", where);
    this.root.classList.toggle("compares", state.view === "compare");
    this.root.classList.toggle("maps", state.view === "map");
    for (const input of this.questions.querySelectorAll("input")) input.checked = input.value === state.ask;
    this.index.value = state.index;
    this.k.value = state.k;
    this.distance.value = state.max ?? MAX_DISTANCE;
    this.#tellDistance();
    this.collapse.checked = state.collapse;
    this.labels.show(state.labels);
    this.folders.show(state.folders);
    this.whole.hidden = !state.box;
    this.part.hidden = Boolean(state.box);
    if (this.query !== state.query) await this.#picture(state.query);
    this.crop.show(state.box);
  }

  // The part of the query that is searched with, to be laid over what was found.
  cut(box) {
    const { naturalWidth: width, naturalHeight: height } = this.image;
    if (!width) return null;
    const [left, top, right, bottom] = box ?? [0, 0, 1, 1];
    const [w, t] = [(right - left) * width, (bottom - top) * height];
    const shrink = Math.min(1, 900 / Math.max(w, t));
    const canvas = h("canvas", { width: Math.max(1, Math.round(w * shrink)), height: Math.max(1, Math.round(t * shrink)) });
    canvas.getContext("2d").drawImage(this.image, left * width, top * height, w, t, 0, 0, canvas.width, canvas.height);
    return canvas;
  }

  async #picture(query) {
    this.query = query;
    const loaded = (source) => {
      this.image.src = source;
      return this.image.decode();
    };
    let name = "";
    try {
      if (query.row !== undefined) {
        const picture = await get(`/api/pictures/${query.row}`);
        name = fileName(picture.path);
        await loaded(picture.view);
      } else if (query.url) {
        name = query.url;
        query.shown ??= URL.createObjectURL(await preview(query));
        await loaded(query.shown);
      } else {
        name = query.file.name ?? "";
        query.shown ??= URL.createObjectURL(query.file);
        await loaded(query.shown).catch(async () => {
          query.shown = URL.createObjectURL(await preview(query));
          await loaded(query.shown);
        });
      }
    } catch {
      // What is wrong with it, the answer to the search says.
      this.image.removeAttribute("src");
    }
    if (this.query !== query) return;
    this.image.alt = name ? `Your picture: ${name}` : "Your picture";
    this.name.textContent = name;
  }

  #questions() {
    return Object.entries(QUESTIONS).map(([value, text]) =>
      h("label", {}, h("input", { type: "radio", name: "ask", value, onchange: () => this.go({ ask: value }) }), h("span", {}, text)),
    );
  }

  #switches() {
    this.index = h(
      "select",
      { onchange: () => this.go({ index: this.index.value }) },
      [{ name: "auto", label: "Automatic" }, ...this.store.indexes].map(({ name, label }) => h("option", { value: name }, label)),
    );
    this.k = h(
      "select",
      { onchange: () => this.go({ k: Number(this.k.value) }) },
      SIZES.map((size) => h("option", { value: String(size) }, String(size))),
    );
    this.distance = h("input", {
      type: "range",
      min: "0.05",
      max: String(MAX_DISTANCE),
      step: "0.05",
      oninput: () => this.#tellDistance(),
      onchange: () => this.go({ max: Number(this.distance.value) < MAX_DISTANCE ? Number(this.distance.value) : null }),
    });
    this.limit = h("span", { class: "limit" });
    this.collapse = h("input", { type: "checkbox", onchange: () => this.go({ collapse: this.collapse.checked }) });
    this.labels = new Choice("Labels", this.store.labels, (labels) => this.go({ labels }));
    this.folders = new Choice("Folders", this.store.folders, (folders) => this.go({ folders }));
    return [
      this.labels.root,
      this.folders.root,
      h("label", { class: "switch only-similar" }, h("span", {}, "Index"), this.index),
      h("label", { class: "switch no-map" }, h("span", {}, "Pictures at a time"), this.k),
      h("label", { class: "switch wide only-similar" }, h("span", {}, "Not further than"), this.limit, this.distance),
      this.store.local_features &&
        h("label", { class: "switch only-similar" }, h("span", {}, "Show near-duplicates as one"), this.collapse),
    ];
  }

  #tellDistance() {
    const value = Number(this.distance.value);
    this.limit.textContent = value < MAX_DISTANCE ? value.toFixed(2) : "any distance";
  }
}

// Some of many names.
class Choice {
  constructor(title, counts, changed) {
    this.counts = counts;
    this.changed = changed;
    this.chosen = [];
    this.list = h("div", { class: "choices" });
    this.search = h("input", { type: "search", placeholder: "Filter", "aria-label": `Filter ${title.toLowerCase()}`, oninput: () => this.#fill() });
    this.told = h("span", { class: "told" });
    this.root = h(
      "details",
      { class: "switch wide choice", hidden: counts.length < 2 },
      h("summary", {}, h("span", {}, title), this.told, icon("down")),
      counts.length > 12 && this.search,
      this.list,
    );
    this.root.addEventListener("toggle", () => this.root.open && this.#fill());
  }

  show(chosen) {
    this.chosen = chosen;
    this.told.textContent = chosen.length ? chosen.join(", ") : "all";
    this.root.classList.toggle("on", chosen.length > 0);
    if (this.root.open && !this.list.contains(document.activeElement)) this.#fill();
  }

  #fill() {
    const wanted = this.search.value.toLowerCase();
    const fitting = this.counts.filter(({ name }) => name.toLowerCase().includes(wanted));
    const sorted = [...fitting.filter(({ name }) => this.chosen.includes(name)), ...fitting.filter(({ name }) => !this.chosen.includes(name))];
    this.list.replaceChildren(
      ...sorted.slice(0, SHOWN_CHOICES).map(({ name, pictures }) =>
        h(
          "label",
          {},
          h("input", {
            type: "checkbox",
            checked: this.chosen.includes(name),
            onchange: (event) => this.#toggle(name, event.target.checked),
          }),
          h("span", {}, name || "(no folder)"),
          pictures !== undefined && h("small", {}, number(pictures)),
        ),
      ),
    );
  }

  #toggle(name, on) {
    this.changed(on ? [...this.chosen, name] : this.chosen.filter((one) => one !== name));
  }
}

export function fileChoice(text, choose, strong = false) {
  const input = h("input", { type: "file", accept: "image/*", class: "sr", onchange: () => {
    if (input.files[0]) choose({ file: input.files[0] });
    input.value = "";
  } });
  return h("label", { class: strong ? "button strong" : "button quiet" }, icon("image"), h("span", {}, text), input);
}
