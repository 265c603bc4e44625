"use strict";
// The frame: which view, which run, what is new.

(() => {
  const main = document.getElementById("main"), top = document.getElementById("top");
  let known = null, view = null, drawn = "", abort = null;
  const RETRY = [1000, 2000, 5000, 10000, 30000];

  const name = () => Object.hasOwn(AG.views, AG.at("view") || "") ? AG.at("view") : "overview";
  // What makes a view another one. Steps inside it (a turn, a filter) are its own business.
  function identity() {
    const now = AG.here();
    const parts = { overview: [], table: [...AG.LIST, "offset"], trajectory: ["n", "full"], group: ["g", "gp", "gi"], diff: ["a", "b"] }[name()];
    return JSON.stringify([name(), AG.run(), ...parts.map(p => now.get(p))]);
  }

  const state = AG.el("span", { class: "state-mark", role: "status" });
  function drawState(word, tone) {
    state.className = `state-mark ${tone || ""}`;
    state.textContent = word;
  }
  function drawTop() {
    const run = known && known.runs[AG.run()];
    const tab = (to, words) => AG.el("a", { href: AG.link(to), "data-to": to, "aria-current": name() === to ? "page" : null }, words);
    const deeper = { trajectory: "Trajectory", group: "Group", diff: "Compare" }[name()];
    const select = known && known.runs.length > 1 ? AG.el("select", { "aria-label": "Run", class: "run", onchange: event => {
      AG.marked = [];
      location.hash = AG.link(name() === "table" ? "table" : "overview", { r: event.target.value, offset: null });
    } }, known.runs.map(one => AG.el("option", { value: one.n, selected: one.n === AG.run() }, AG.clip(AG.one(one.name), 60)))) : AG.el("span", { class: "run" }, run ? AG.clip(AG.one(run.name), 60) : "");
    top.replaceChildren(AG.el("a", { class: "brand", href: AG.link("overview") }, AG.el("span", { class: "mark", "aria-hidden": "true" }, AG.el("i", { class: "a" }), AG.el("i", { class: "b" }), AG.el("i", { class: "c" })), AG.el("span", { class: "brand-name" }, "agentgym")), select,
      AG.el("nav", { "aria-label": "Views" }, tab("overview", "Overview"), tab("table", "Trajectories"), deeper ? AG.el("a", { href: location.hash, "aria-current": "page" }, deeper) : null), state, themeButton, helpButton);
    document.title = [deeper || AG.views[name()].title, run ? AG.clip(AG.one(run.name), 60) : "", "agentgym"].filter(Boolean).join(" · ");
  }

  async function draw() {
    const now = identity();
    if (now === drawn) {
      if (view) main.setAttribute("data-ready", name());
      return drawTop();
    }
    drawn = now;
    abort?.abort();
    view?.stop?.();
    abort = new AbortController();
    view = null;
    const signal = abort.signal;
    main.replaceChildren();
    main.removeAttribute("data-ready");
    main.className = name();
    drawTop();
    // While a deep view loads, one can already leave it.
    AG.keys(["overview", "table"].includes(name()) ? [] : [[["Escape"], () => AG.go("table"), "", ""]]);
    try {
      if (!known.runs.length) return void main.append(AG.empty("No runs", "Name one: agentgym view runs/NAME"));
      if (!known.runs[AG.run()]) throw new AG.Problem(`There is no run ${AG.run()} here.`);
      const made = await AG.views[name()].draw(main, known, signal);
      if (signal.aborted || identity() !== drawn) return made?.stop?.();  // The next address is there, and drawn next.
      view = made || {};
      AG.keys(view.keys || []);
      main.setAttribute("data-ready", name());
      if (!AG.at("turn")) scrollTo(0, 0);
    } catch (error) {
      if (error.name === "AbortError" || signal.aborted) return;
      main.replaceChildren(AG.problem(error, () => { drawn = ""; draw(); }));
      main.setAttribute("data-ready", "problem");
    }
  }

  async function poll() {
    let last = known.version ?? null, failed = 0;
    for (;;) {
      try {
        const { version } = await AG.source.version(last);
        if (failed || version !== last) {
          known = Object.assign(known, await AG.source.runs());
          last = version;
          // The frame's own line changes; what one reads does not.
          await view?.live?.();
        }
        failed = 0;
        drawState(known.runs.some(run => run.live) ? "live" : "idle", known.runs.some(run => run.live) ? "live" : "");
      } catch (error) {
        if (error.name === "AbortError") continue;
        drawState(error.status === 401 || error.status === 403 ? "no token" : "disconnected", "lost");
        await new Promise(done => setTimeout(done, RETRY[Math.min(failed++, RETRY.length - 1)]));
      }
    }
  }

  function help() {
    const list = keys => AG.el("dl", { class: "keys" }, keys.filter(k => k[2]).map(([, , key, words]) => [AG.el("dt", {}, key.split(" ").map(k => [AG.el("kbd", {}, k), " "])), AG.el("dd", {}, words)]));
    const [own, common] = AG.allKeys();
    const dialog = AG.el("dialog", { "aria-labelledby": "keys-title", onclose: () => dialog.remove() }, AG.el("form", { method: "dialog" }, AG.el("button", { class: "icon close", "aria-label": "Close" }, "×")),
      AG.el("h2", { id: "keys-title" }, "Keys"), own.length ? [AG.el("h3", {}, AG.views[name()].title), list(own)] : null, AG.el("h3", {}, "Everywhere"), list(common));
    document.body.append(dialog);
    dialog.showModal();
  }
  const themeButton = AG.themeSwitch();
  const helpButton = AG.el("button", { type: "button", class: "icon", "aria-label": "Keys", title: "Keys (?)", onclick: help }, "?");
  AG.commonKeys([[["?"], help, "?", "this list"], [["1"], () => AG.go("overview"), "1", "overview"], [["2"], () => AG.go("table"), "2", "trajectories"], [["m"], () => themeButton.click(), "m", "light, dark, as the system"],
    [["/"], () => { if (name() !== "table") AG.go("table"); }, "/", "find in the table"]]);
  document.getElementById("skip").addEventListener("click", event => { event.preventDefault(); main.focus(); });

  async function begin() {
    const data = AG.data();
    AG.source = data ? AG.embedded(data) : AG.live(AG.at("token") || "");
    main.replaceChildren(AG.waiting());
    try {
      known = await AG.source.runs();
    } catch (error) {
      drawTop();
      main.replaceChildren(AG.problem(error, begin));
      main.setAttribute("data-ready", "problem");
      return;
    }
    drawState(AG.source.live ? "idle" : "report", "");
    if (AG.source.live && known.runs.some(run => run.live)) drawState("live", "live");
    drawn = "";
    await draw();
    if (AG.source.live && !begin.polling) {
      begin.polling = true;
      poll();
    }
  }
  document.addEventListener("swapped", () => {
    drawn = identity();
    for (const a of top.querySelectorAll("[data-to]")) a.setAttribute("href", AG.link(a.dataset.to));
  });
  addEventListener("hashchange", () => { if (known) draw(); else begin(); });
  begin();
})();
