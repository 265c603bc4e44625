"use strict";
// Where the states of a group stand: layers by the earliest turn, in each an order that crosses few edges.

(() => {
  const SWEEPS = 8, RELAX = 30;

  // Long edges onward get a place to pass through in every layer between, so that they go around states, not over them.
  const VIA = 2500;

  AG.layout = (nodes, edges, size) => {
    const layers = [];
    for (const node of nodes) (layers[node.depth] ||= []).push(node);
    const full = layers.filter(layer => layer);
    full.forEach((layer, i) => layer.forEach((node, j) => { node.layer = i; node.at = j; }));
    const near = new Map(nodes.map(node => [node.index, { before: [], after: [] }]));
    const byIndex = new Map(nodes.map(node => [node.index, node]));
    const ways = new Map();
    let made = 0;
    const join = (first, second, count) => {
      near.get(first.index).after.push([second, count]);
      near.get(second.index).before.push([first, count]);
    };
    for (const edge of edges) {
      const from = byIndex.get(edge.from), to = byIndex.get(edge.to);
      if (!from || !to || from.layer === to.layer) continue;
      const key = `${edge.from} ${edge.to}`;
      if (from.layer > to.layer) join(to, from, edge.count);
      else if (to.layer === from.layer + 1 || ways.has(key) || made > VIA) join(from, to, edge.count);
      else {
        const way = [];
        for (let layer = from.layer + 1; layer < to.layer; layer++) {
          const via = { index: `via ${++made}`, via: true, layer, at: full[layer].length, visits: 0 };
          near.set(via.index, { before: [], after: [] });
          full[layer].push(via);
          way.push(via);
        }
        [from, ...way].forEach((first, i) => join(first, [...way, to][i], edge.count));
        ways.set(key, way);
      }
    }
    const middle = (list, of) => list.reduce((s, [n, w]) => s + of(n) * w, 0) / list.reduce((s, [, w]) => s + w, 0);

    for (let sweep = 0; sweep < SWEEPS; sweep++) {
      const down = sweep % 2 === 0;
      for (const layer of down ? full : [...full].reverse()) {
        const wish = new Map(layer.map(node => {
          const list = near.get(node.index)[down ? "before" : "after"];
          const scale = n => (n.at + 0.5) / full[n.layer].length;
          return [node, list.length ? middle(list, scale) : (node.at + 0.5) / layer.length];
        }));
        layer.sort((a, b) => wish.get(a) - wish.get(b) || b.visits - a.visits || (a.via ? 1 : 0) - (b.via ? 1 : 0));
        layer.forEach((node, j) => { node.at = j; });
      }
    }

    for (const layer of full) for (const node of layer) [node.r, node.head] = node.via ? [4, 0] : [size.radius(node), size.head(node)];
    full.forEach((layer, i) => {
      let y = 0;
      for (const node of layer) {
        node.x = i * size.across;
        y += node.head + node.r;
        node.y = y;
        y += node.r + size.gap;
      }
      const half = (y - size.gap) / 2;
      for (const node of layer) node.y -= half;
    });
    // Towards the neighbours, then apart again.
    for (let round = 0; round < RELAX; round++) {
      for (const layer of full) {
        for (const node of layer) {
          const { before, after } = near.get(node.index), list = [...before, ...after];
          if (list.length) node.y += 0.4 * (middle(list, n => n.y) - node.y);
        }
        for (let j = 1; j < layer.length; j++) {
          const least = layer[j - 1].y + layer[j - 1].r + layer[j].head + layer[j].r + size.gap;
          if (layer[j].y < least) {
            const push = (least - layer[j].y) / 2;
            layer[j].y += push;
            for (let k = j - 1; k >= 0; k--) {
              layer[k].y -= k === j - 1 ? push : 0;
              if (k > 0 && layer[k].y - layer[k].head - layer[k].r - layer[k - 1].r - size.gap < layer[k - 1].y) layer[k - 1].y = layer[k].y - layer[k].head - layer[k].r - layer[k - 1].r - size.gap;
            }
            if (layer[j].y < layer[j - 1].y + layer[j - 1].r + layer[j].head + layer[j].r + size.gap) layer[j].y = layer[j - 1].y + layer[j - 1].r + layer[j].head + layer[j].r + size.gap;
          }
        }
      }
    }
    const every = full.flat();
    const [x0, x1] = [Math.min(...every.map(n => n.x - n.r)), Math.max(...every.map(n => n.x + n.r))];
    const [y0, y1] = [Math.min(...every.map(n => n.y - n.r - n.head)), Math.max(...every.map(n => n.y + n.r))];
    for (const node of every) {
      node.x += size.margin - x0;
      node.y += size.margin - y0;
    }
    return { width: x1 - x0 + 2 * size.margin, height: y1 - y0 + 2 * size.margin, ways };
  };

  // The path of an edge: onward as a soft S, back as an arc below, a loop where the state stays the same. `lane` keeps
  // several actions between the same two states apart.
  AG.route = (from, to, lane, way = []) => {
    if (from === to) {
      const r = from.r, w = r * 0.9 + 7 * lane, foot = from.y - r * 0.85, top = from.y - r - 22 - 24 * lane;
      return { d: `M${from.x - r * 0.5} ${foot}C${from.x - w} ${top} ${from.x + w} ${top} ${from.x + r * 0.5} ${foot}`, x: from.x, y: 0.25 * foot + 0.75 * top };
    }
    if (to.x === from.x) {
      const bend = 30 + 14 * lane;
      return { d: `M${from.x + from.r} ${from.y}C${from.x + from.r + bend} ${from.y} ${to.x + to.r + bend} ${to.y} ${to.x + to.r + 5} ${to.y}`, x: from.x + from.r + bend * 0.75, y: (from.y + to.y) / 2 };
    }
    if (to.x < from.x) {
      const low = Math.max(from.y + from.r, to.y + to.r) + 26 + 14 * lane;
      return { d: `M${from.x} ${from.y + from.r}C${from.x} ${low + 10} ${to.x} ${low + 10} ${to.x} ${to.y + to.r + 5}`, x: (from.x + to.x) / 2, y: low };
    }
    const shift = 13 * (lane % 2 ? (lane + 1) / 2 : -lane / 2);
    const ends = [[from.x + from.r, from.y + shift * 0.35], ...way.map(v => [v.x, v.y + shift]), [to.x - to.r - 5, to.y + shift * 0.35]];
    let d = `M${ends[0][0]} ${ends[0][1]}`;
    for (let i = 1; i < ends.length; i++) {
      const [x, y] = ends[i - 1], [u, v] = ends[i], half = (u - x) / 2, bow = way.length ? 0 : shift;
      d += `C${x + half} ${y + bow} ${u - half} ${v + bow} ${u} ${v}`;
    }
    const [x, y] = ends[0], [u, v] = ends[1];
    return { d, x: (x + u) / 2, y: (y + v) / 2 + (way.length ? 0 : shift * 0.75) };
  };
})();
