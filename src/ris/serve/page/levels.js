// Which points of a map are shown as pictures at which zoom, and which lie in a part of it. Typed arrays only.

export const LEVELS = 13;
const COARSEST = 8; // pictures across the whole map at level 0
const MORTON_BITS = 13;
const POINTS = 2 ** 20; // at most

// The side of the square that a picture has to itself at a level, in shares of the map's side.
export const room = (level) => 1 / (COARSEST * 2 ** level);

function spread(bits) {
  let wide = bits & 0x1fff;
  wide = (wide | (wide << 8)) & 0x00ff00ff;
  wide = (wide | (wide << 4)) & 0x0f0f0f0f;
  wide = (wide | (wide << 2)) & 0x33333333;
  return (wide | (wide << 1)) & 0x55555555;
}

// Gives each point the coarsest level at which no other picture is within its room, so that pictures of a level
// and all coarser ones never lie on each other: (n,) uint8.
export function levelled(x, y) {
  const count = x.length;
  const levels = new Uint8Array(count).fill(LEVELS);
  const capacity = 2 ** Math.ceil(Math.log2(2 * count + 2));
  const cells = new Int32Array(capacity);
  const holders = new Int32Array(capacity);
  const slot = (cell) => {
    let at = (Math.imul(cell, 0x9e3779b1) >>> 0) & (capacity - 1);
    while (cells[at] !== 0 && cells[at] !== cell) at = (at + 1) & (capacity - 1);
    return at;
  };
  const shown = [];
  let waiting = Int32Array.from({ length: count }, (_, i) => i);
  for (let level = 0; level < LEVELS && waiting.length; level++) {
    const side = room(level);
    const width = COARSEST * 2 ** level + 3;
    const cellOf = (i) => (Math.floor(y[i] / side) + 1) * width + Math.floor(x[i] / side) + 1;
    const put = (i) => {
      const cell = cellOf(i);
      const at = slot(cell);
      cells[at] = cell;
      holders[at] = i;
    };
    cells.fill(0);
    for (const i of shown) put(i);
    const free = (i) => {
      const cell = cellOf(i);
      for (const down of [0, -width, width])
        for (const across of [0, -1, 1]) {
          const at = slot(cell + down + across);
          const other = holders[at];
          if (cells[at] !== 0 && Math.abs(x[other] - x[i]) < side && Math.abs(y[other] - y[i]) < side) return false;
        }
      return true;
    };
    waiting = waiting.filter((i) => {
      if (!free(i)) return true;
      levels[i] = level;
      shown.push(i);
      put(i);
      return false;
    });
  }
  return levels;
}

// The order in which points near each other and of one level stand together: (n,) int32.
export function ordered(x, y, levels) {
  const most = 2 ** MORTON_BITS - 1;
  const keys = Float64Array.from(levels, (level, i) => {
    const morton = spread(x[i] * most) + 2 * spread(y[i] * most);
    return (level * 4 ** MORTON_BITS + morton) * POINTS + i;
  });
  return Int32Array.from(keys.sort(), (key) => key % POINTS);
}

// Points by squares of the map, to find those in a part of it without looking at all.
export class Grid {
  constructor(x, y) {
    this.side = Math.max(1, Math.min(256, Math.ceil(Math.sqrt(x.length / 8))));
    this.cell = (value) => Math.min(this.side - 1, Math.max(0, Math.floor(value * this.side)));
    this.starts = new Int32Array(this.side ** 2 + 1);
    const cells = Int32Array.from(x, (_, i) => this.cell(y[i]) * this.side + this.cell(x[i]));
    for (const cell of cells) this.starts[cell + 1]++;
    for (let i = 1; i < this.starts.length; i++) this.starts[i] += this.starts[i - 1];
    this.points = new Int32Array(x.length);
    const next = this.starts.slice();
    cells.forEach((cell, i) => (this.points[next[cell]++] = i));
  }

  each(left, top, right, bottom, visit) {
    for (let row = this.cell(top); row <= this.cell(bottom); row++)
      for (let column = this.cell(left); column <= this.cell(right); column++) {
        const cell = row * this.side + column;
        for (let at = this.starts[cell]; at < this.starts[cell + 1]; at++) visit(this.points[at]);
      }
  }
}
