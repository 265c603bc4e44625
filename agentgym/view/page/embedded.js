"use strict";
// The data inside the file: the report. It sorts and filters by itself what the server would.

(() => {
  const missing = what => new AG.Problem(`${what} is not in this file. \`agentgym view\` shows everything of a run.`, 404);
  const has = (table, key) => table !== null && typeof table === "object" && Object.hasOwn(table, key);

  function pick(data, part, r, key, what) {
    const found = data[part] && has(data[part], r) ? data[part][r] : {};
    if (!has(found, key)) throw missing(what);
    if (found[key] && found[key].error) throw new AG.Problem(found[key].error, 404);
    return found[key];
  }

  function matches(row, wanted) {
    const given = name => wanted[name] !== undefined && wanted[name] !== null && wanted[name] !== "";
    for (const name of ["phase", "task", "ending", "group"]) if (given(name) && String(row[name]) !== String(wanted[name])) return false;
    if (given("iteration") && String(row.iteration) !== String(wanted.iteration)) return false;
    const number = row[given("column") ? wanted.column : "score"];
    if (given("low") && (absent(number) || !(number >= Number(wanted.low)))) return false;
    if (given("high") && (absent(number) || !(number <= Number(wanted.high)))) return false;
    if (given("fault")) {
      const kinds = row.fault_kinds || [];
      if (wanted.fault === "1" ? !row.faults : wanted.fault === "0" ? row.faults : !kinds.includes(wanted.fault)) return false;
    }
    if (given("q")) {
      const needle = String(wanted.q).toLowerCase();
      if (![row.id, row.task, row.group].some(v => String(v ?? "").toLowerCase().includes(needle))) return false;
    }
    return true;
  }

  const absent = v => v === null || v === undefined;
  function compare(a, b, column, down) {
    const [x, y] = [a[column], b[column]];
    if (absent(x) || absent(y)) return absent(x) - absent(y) || a.n - b.n;
    const order = x < y ? -1 : x > y ? 1 : 0;
    return (down ? -order : order) || a.n - b.n;
  }

  function facets(rows) {
    const found = { phase: {}, ending: {}, fault: {}, task: {} };
    const add = (kind, name) => { found[kind][name] = (has(found[kind], name) ? found[kind][name] : 0) + 1; };
    for (const row of rows) {
      add("phase", row.phase);
      add("ending", row.ending);
      add("task", row.task);
      for (const kind of row.fault_kinds || []) add("fault", kind);
    }
    found.task = Object.fromEntries(Object.entries(found.task).sort((a, b) => b[1] - a[1]).slice(0, 50));
    return found;
  }

  AG.embedded = data => ({
    live: false,
    limits: data.limits || "",
    runs: async () => data.runs,
    curves: async () => data.curves || { series: [] },
    metrics: async r => {
      const lines = data.metrics && has(data.metrics, r) ? data.metrics[r] : [];
      return { lines: Array.isArray(lines) ? lines : lines.lines, next: 0 };
    },
    rows: async (r, wanted) => {
      const all = data.rows && has(data.rows, r) ? data.rows[r] : [];
      const found = all.filter(row => matches(row, wanted));
      const column = wanted.sort || "n";
      found.sort((a, b) => compare(a, b, column, String(wanted.desc) === "1"));
      const offset = Number(wanted.offset || 0), limit = Number(wanted.limit ?? 100);
      return { total: found.length, rows: found.slice(offset, offset + limit), facets: facets(found) };
    },
    trajectory: async (r, n) => pick(data, "trajectories", r, n, `Trajectory ${n}`),
    credit: async (r, n) => pick(data, "credit", r, n, `The credit of trajectory ${n}`),
    tokens: async (r, n, by) => {
      const found = pick(data, "tokens", r, n, `Token values of trajectory ${n}`);
      if (!has(found, by)) throw missing(`The ${by} of tokens`);
      return found[by];
    },
    group: async (r, g, phase, iteration) =>
      pick(data, "groups", r, JSON.stringify([g, phase, absent(iteration) || iteration === "" ? null : Number(iteration)]), "This group"),
    version: () => new Promise(() => {}),
  });

  AG.data = () => {
    const element = document.getElementById("data");
    return element ? JSON.parse(element.textContent) : null;
  };
})();
