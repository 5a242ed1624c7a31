// What is being looked at, and its address. A picture of the store has an address that can be shared; an upload
// lives in this tab only, and the back button finds it as long as the tab is open.

export const VIEWS = ["search", "compare", "map", "duplicates"];
export const SIZES = [12, 24, 48, 96];
export const MAX_DISTANCE = 2;
export const MAX_TEXT = 200;
export const MAX_MARKS = 50;

export const START = {
  view: "search",
  query: null,
  ask: "similar",
  index: "auto",
  k: 24,
  max: null,
  labels: [],
  folders: [],
  collapse: false,
  box: null,
  like: [],
  unlike: [],
};

const uploads = [];

export function keep(query) {
  const kept = { ...query, upload: uploads.length };
  uploads.push(kept);
  return kept;
}

const rows = (texts) => texts.filter((text) => /^\d{1,15}$/.test(text)).map(Number).slice(0, MAX_MARKS);
const oneOf = (value, choices, otherwise) => (choices.includes(value) ? value : otherwise);

function box(text) {
  const shares = (text ?? "").split(",").map(Number);
  const [left, top, right, bottom] = shares;
  const good = shares.length === 4 && shares.every((one) => one >= 0 && one <= 1) && left < right && top < bottom;
  return good ? shares : null;
}

export function read(location, kept, indexes) {
  const given = new URLSearchParams(location.search);
  const row = given.get("row");
  const max = Number.parseFloat(given.get("max"));
  const text = given.get("text")?.slice(0, MAX_TEXT).trim();
  const picture = /^\d{1,15}$/.test(row ?? "") ? { row: Number(row) } : (uploads[kept?.upload] ?? null);
  const query = picture ?? (text ? { text } : null);
  return {
    view: oneOf(given.get("view"), VIEWS, START.view),
    query,
    ask: oneOf(given.get("ask"), ["similar", "where"], START.ask),
    index: oneOf(given.get("index"), indexes.map(({ name }) => name), START.index),
    k: oneOf(Number(given.get("k")), SIZES, START.k),
    max: max > 0 && max < MAX_DISTANCE ? max : null,
    labels: given.getAll("label"),
    folders: given.getAll("folder"),
    collapse: given.has("collapse"),
    box: picture ? box(given.get("box")) : null,
    like: query ? rows(given.getAll("like")) : [],
    unlike: query ? rows(given.getAll("unlike")) : [],
  };
}

export function written(state) {
  const pairs = [];
  if (state.view !== START.view) pairs.push(["view", state.view]);
  if (state.query?.row !== undefined) pairs.push(["row", state.query.row]);
  if (state.query?.text) pairs.push(["text", state.query.text]);
  if (state.ask !== START.ask) pairs.push(["ask", state.ask]);
  if (state.index !== START.index) pairs.push(["index", state.index]);
  if (state.k !== START.k) pairs.push(["k", state.k]);
  if (state.max !== null) pairs.push(["max", state.max]);
  for (const label of state.labels) pairs.push(["label", label]);
  for (const folder of state.folders) pairs.push(["folder", folder]);
  if (state.collapse) pairs.push(["collapse", "1"]);
  for (const row of state.like) pairs.push(["like", row]);
  for (const row of state.unlike) pairs.push(["unlike", row]);
  if (state.query && state.box) pairs.push(["box", state.box.join(",")]);
  return pairs.length ? `/?${new URLSearchParams(pairs)}` : "/";
}

export const from = (state, row) => ({ ...state, query: { row }, box: null, like: [], unlike: [], view: state.view === "duplicates" ? "search" : state.view });
