// Pictures beside each other, as they are, uncropped; the arrow keys go from one to the next.

import { distance, fileName, h, icon, svg } from "./dom.js";

const NARROWEST = 0.7;
const WIDEST = 2.4;

const RELATIONS = {
  same_picture: { badge: "Same picture", text: "The same picture" },
  changed_version: { badge: "Changed version", text: "A changed version of it" },
  same_template: { badge: "Same template", text: "Another picture of the same template" },
};

// What is proven of a hit, null where nothing is.
export function proven(hit) {
  const relation = RELATIONS[hit.relation];
  if (!relation) return null;
  const mirrored = hit.mirrored ? ", mirrored" : "";
  return { here: hit.relation !== "same_template", badge: relation.badge + mirrored, text: relation.text + mirrored };
}

export function outlined(picture, outline, boxes = []) {
  const corners = outline.map((corner) => corner.map((one) => one.toFixed(1)).join(",")).join(" ");
  return svg(
    "svg",
    { viewBox: `0 0 ${picture.width} ${picture.height}`, preserveAspectRatio: "xMidYMid slice", class: "outline", "aria-hidden": "true" },
    svg("polygon", { points: corners, class: "halo" }),
    svg("polygon", { points: corners }),
    ...boxes.map(([x, y, right, bottom]) => svg("rect", { x, y, width: right - x, height: bottom - y, class: "differs" })),
  );
}

// The query where it lies in a picture: its corners go to the corners of the outline.
export function laid(canvas, picture, [origin, across, , down]) {
  const layer = h("div", { class: "laid", "aria-hidden": "true" });
  const copy = h("canvas", { width: canvas.width, height: canvas.height });
  copy.getContext("2d").drawImage(canvas, 0, 0);
  layer.append(copy);
  const place = () => {
    const scale = Math.max(layer.clientWidth / picture.width, layer.clientHeight / picture.height);
    if (!scale) return;
    const shift = [(layer.clientWidth - picture.width * scale) / 2, (layer.clientHeight - picture.height * scale) / 2];
    const along = (to, length, axis) => ((to[axis] - origin[axis]) / length) * scale;
    copy.style.setProperty(
      "transform",
      `matrix(${along(across, canvas.width, 0)}, ${along(across, canvas.width, 1)}, ${along(down, canvas.height, 0)}, ` +
        `${along(down, canvas.height, 1)}, ${origin[0] * scale + shift[0]}, ${origin[1] * scale + shift[1]})`,
    );
  };
  new ResizeObserver(place).observe(layer);
  return layer;
}

export function shot(picture, href, extra) {
  const ratio = Math.min(WIDEST, Math.max(NARROWEST, picture.width / picture.height));
  const name = fileName(picture.path);
  const text = picture.label ? `${picture.label}, ${name}` : name;
  const image = h("img", { src: picture.thumbnail, alt: text, loading: "lazy", decoding: "async", draggable: "false" });
  image.addEventListener("error", () => link.classList.add("missing"));
  const link = h("a", { class: "shot", href, "data-row": String(picture.row), title: `Search from ${text}` }, image, extra);
  return { link, ratio, text };
}

export function card(hit, { href, look, query, box, marks }) {
  const { picture } = hit;
  const { link, ratio, text } = shot(picture, href);
  const item = h("li", { class: "card", vars: { "--ratio": ratio } }, h("div", { class: "thumb" }, link, marks?.buttons(picture.row, text)));
  if (hit.outline) {
    link.append(outlined(picture, hit.outline, hit.difference?.boxes));
    const over = () => {
      const canvas = query?.(box);
      if (canvas && !link.querySelector(".laid")) link.append(laid(canvas, picture, hit.outline));
    };
    link.addEventListener("pointerenter", over);
    link.addEventListener("focus", over);
    item.lay = over;
  }
  const proof = proven(hit);
  if (proof) item.append(h("button", { type: "button", class: proof.here ? "badge" : "badge still", onclick: look }, proof.here && icon("check"), proof.badge));
  item.append(
    h("button", { type: "button", class: "look", "aria-label": `Look closer at ${text}`, title: "Look closer", onclick: look }, icon("expand")),
    h(
      "p",
      { class: "facts" },
      h("span", { class: "label" }, picture.label || fileName(picture.path)),
      hit.distance !== undefined && h("span", { class: "number", title: "Distance: 0 is equal, 2 is the most" }, distance(hit.distance)),
    ),
  );
  if (hit.copies?.length)
    item.append(h("p", { class: "copies" }, `and ${hit.copies.length} near-duplicate${hit.copies.length === 1 ? "" : "s"}`));
  return item;
}

// Arrow keys between the links of a list, Space to look closer.
export function arrows(list) {
  list.addEventListener("keydown", (event) => {
    const shots = [...list.querySelectorAll(".shot")];
    const here = shots.indexOf(document.activeElement);
    if (here < 0) return;
    if (event.key === " ") shots[here].closest(".card").querySelector(".look")?.click();
    else {
      const there = { ArrowLeft: here - 1, ArrowRight: here + 1, Home: 0, End: shots.length - 1 }[event.key];
      const line = { ArrowUp: -1, ArrowDown: 1 }[event.key];
      const target = shots[there] ?? (line && beyond(shots, shots[here], line));
      if (!target && there === undefined && line === undefined) return;
      target?.focus();
    }
    event.preventDefault();
  });
}

function beyond(shots, from, line) {
  const middle = (one) => one.getBoundingClientRect().left + one.getBoundingClientRect().width / 2;
  const top = (one) => one.getBoundingClientRect().top;
  const further = shots.filter((one) => line * (top(one) - top(from)) > 4);
  if (!further.length) return null;
  const nearest = Math.min(...further.map((one) => line * top(one)));
  const x = middle(from);
  return further.filter((one) => line * top(one) - nearest < 4).sort((a, b) => Math.abs(middle(a) - x) - Math.abs(middle(b) - x))[0];
}
