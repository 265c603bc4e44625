"use strict";
// Where one is, in the address: a link shows another person the same view, and Back goes back. The filters of the table
// stay in it while one looks at a trajectory, so that the next one is the next of the same list.

(() => {
  const FILTERS = ["phase", "task", "ending", "fault", "q", "column", "low", "high", "iteration", "group"];
  const LIST = [...FILTERS, "sort", "desc"];
  const KEPT = ["token", "r", ...LIST, "offset"];
  const CLIP = 500;

  AG.FILTERS = FILTERS;
  AG.LIST = LIST;
  AG.here = () => new URLSearchParams(location.hash.slice(1));
  AG.at = name => AG.here().get(name);

  // The address of a view: the run, the token and the list go along unless `changes` says otherwise (null removes).
  AG.link = (view, changes = {}) => {
    const now = AG.here(), next = new URLSearchParams();
    for (const name of KEPT) if (now.has(name)) next.set(name, now.get(name));
    next.set("view", view);
    for (const [name, value] of Object.entries(changes)) {
      if (value === null || value === undefined || value === "") next.delete(name);
      else next.set(name, name === "token" || name === "task" || name === "group" || name === "g" ? value : String(value).slice(0, CLIP));
    }
    return `#${next}`;
  };
  AG.go = (view, changes) => { location.hash = AG.link(view, changes); };
  // Small steps (a turn, a typed letter) do not fill the history, and nobody who has left a view is taken back to it.
  AG.swap = (view, changes) => {
    if (AG.at("view") !== view) return;
    history.replaceState(null, "", AG.link(view, changes));
    document.dispatchEvent(new Event("swapped"));
  };

  AG.run = () => {
    const r = Number(AG.at("r") || 0);
    return Number.isInteger(r) && r >= 0 ? r : 0;
  };
  AG.wanted = () => {
    const now = AG.here();
    return Object.fromEntries(LIST.filter(name => now.get(name)).map(name => [name, now.get(name)]));
  };
  AG.toTrajectory = (n, changes) => AG.link("trajectory", { n, ...changes });
  AG.toGroup = row => AG.link("group", { g: row.group, gp: row.phase, gi: row.iteration ?? null });

  // Keys: the view's own first, then those of the page. Nobody's typing is taken for a command.
  const common = [];
  let current = [];
  AG.keys = keys => { current = keys; };
  AG.commonKeys = keys => { common.push(...keys); };
  AG.allKeys = () => [current, common];

  document.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const target = event.target;
    const typing = target instanceof Element && target.matches("input:not([type=checkbox]), select, textarea");
    if (typing) {
      if (event.key === "Escape") target.blur();
      return;
    }
    if (document.querySelector("dialog[open]")) return;
    const pressed = target instanceof Element && target.closest("button, a, summary, [role=button]") && (event.key === "Enter" || event.key === " ");
    if (pressed) return;
    for (const [names, act] of [...current, ...common]) {
      if (!names.includes(event.key)) continue;
      if (act(event) === false) return;
      event.preventDefault();
      return;
    }
  });

  AG.marked = [];
  AG.mark = n => {
    const at = AG.marked.indexOf(n);
    if (at >= 0) AG.marked.splice(at, 1);
    else AG.marked = [...AG.marked.slice(-1), n];
    AG.announce(AG.marked.length === 2 ? "Two attempts picked: press c to compare them" : `${AG.marked.length} picked to compare`);
  };
  AG.compare = () => {
    if (AG.marked.length === 2) AG.go("diff", { a: AG.marked[0], b: AG.marked[1] });
    else AG.announce("Pick two attempts with x first");
  };
})();
