"use strict";
// What two or more attempts have in common: the longest common subsequence of what they met, in order.

(() => {
  const MOST = 4e6;

  // Pairs [i, j] with i or j null where only one side has the step. Equal heads and tails are matched without a table.
  AG.align = (a, b) => {
    let head = 0;
    while (head < a.length && head < b.length && a[head] === b[head]) head++;
    let tail = 0;
    while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++;
    const n = a.length - head - tail, m = b.length - head - tail;
    const pairs = [];
    for (let i = 0; i < head; i++) pairs.push([i, i]);
    if (n * m > MOST) {
      for (let k = 0; k < Math.max(n, m); k++) pairs.push([k < n ? head + k : null, k < m ? head + k : null]);
    } else {
      const width = m + 1, best = new Uint16Array((n + 1) * width);
      for (let i = n - 1; i >= 0; i--) {
        for (let j = m - 1; j >= 0; j--) {
          best[i * width + j] = a[head + i] === b[head + j] ? best[(i + 1) * width + j + 1] + 1 : Math.max(best[(i + 1) * width + j], best[i * width + j + 1]);
        }
      }
      let i = 0, j = 0;
      while (i < n || j < m) {
        if (i < n && j < m && a[head + i] === b[head + j]) pairs.push([head + i++, head + j++]);
        else if (i < n && (j >= m || best[(i + 1) * width + j] >= best[i * width + j + 1])) pairs.push([head + i++, null]);
        else pairs.push([null, head + j++]);
      }
    }
    for (let k = tail; k > 0; k--) pairs.push([a.length - k, b.length - k]);
    return pairs;
  };

  // Rows of states on shared columns: each row is laid over what the rows before it have in common with it.
  // Gives for each row the column of each of its steps, and how many columns there are; null where that would be too wide.
  AG.columns = (rows, most) => {
    let line = [];
    const order = rows.map((_, i) => i).sort((a, b) => rows[a].length - rows[b].length);
    for (const i of order) {
      const next = [];
      for (const [x, y] of AG.align(line, rows[i])) next.push(x === null ? rows[i][y] : line[x]);
      line = next;
      if (line.length > most) return null;
    }
    const places = rows.map(row => {
      const found = new Array(row.length).fill(0);
      for (const [x, y] of AG.align(line, row)) if (y !== null) found[y] = x ?? 0;
      return found;
    });
    return { places, width: line.length, line };
  };
})();
