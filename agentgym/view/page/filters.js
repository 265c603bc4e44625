"use strict";
// The filters of the table: each is a control with a name, all of them live in the address.

(() => {
  const PAUSE = 250;
  const RANGED = { score: "Score", reward: "Reward", credit_sum: "Credit", credit_min: "Worst turn", credit_max: "Best turn", turns: "Turns", faults: "Faults", tokens: "Tokens", seconds: "Seconds" };

  // What there is, with counts; what is chosen stays in the list even where the present rows have none of it.
  function choices(select, counts, all) {
    const chosen = AG.at(select.name) || "";
    const names = Object.keys(counts || {});
    if (chosen && !names.includes(chosen)) names.push(chosen);
    select.replaceChildren(AG.el("option", { value: "" }, all), ...(select.name === "fault" ? [
      AG.el("option", { value: "1" }, "any fault"), AG.el("option", { value: "0" }, "no fault")] : []),
      ...names.filter(name => select.name !== "fault" || !["0", "1"].includes(name)).map(name =>
        AG.el("option", { value: name }, AG.clip(AG.words(name), 60) + (counts && Object.hasOwn(counts, name) ? ` (${AG.num(counts[name])})` : ""))));
    select.value = chosen;
  }

  AG.filters = changed => {
    const timers = new Map();
    const forget = name => { clearTimeout(timers.get(name)); timers.delete(name); };
    const forgetAll = () => { for (const name of [...timers.keys()]) forget(name); };
    const apply = (name, value) => {
      AG.swap("table", { [name]: value, offset: null });
      changed();
    };
    const select = (name, label) => AG.el("select", { name, "aria-label": label, onchange: event => apply(name, event.target.value) });
    const typed = (name, label, more) => AG.el("input", {
      name, "aria-label": label, placeholder: label, autocomplete: "off", spellcheck: "false", ...more,
      oninput: event => {
        const value = event.target.value;
        forget(name);
        timers.set(name, setTimeout(() => { forget(name); apply(name, value); }, PAUSE));
      },
    });
    const phase = select("phase", "Phase"), ending = select("ending", "Ending"), fault = select("fault", "Fault");
    // Which number the range is of; by itself it is no filter.
    const column = AG.el("select", { name: "column", "aria-label": "Range of", onchange: event => {
      const value = event.target.value === "score" ? null : event.target.value;
      forgetAll();
      AG.swap("table", { column: value, low: null, high: null, offset: null });
      changed();
    } }, Object.entries(RANGED).map(([value, words]) => AG.el("option", { value }, words)));
    const tasks = AG.el("datalist", { id: "tasks" });
    const inputs = [
      typed("q", "Find in names", { type: "search", class: "find" }),
      typed("task", "Task", { list: "tasks", class: "task" }),
      typed("low", "from", { inputmode: "decimal", class: "short", "aria-label": "At least" }),
      typed("high", "to", { inputmode: "decimal", class: "short", "aria-label": "At most" }),
    ];
    const chips = AG.el("div", { class: "chips" });

    function chip(name, words) {
      return AG.el("button", { type: "button", class: "chip", "aria-label": `Remove the filter ${words}`, onclick: () => { apply(name, null); } },
        AG.clip(words, 60), AG.el("span", { "aria-hidden": "true" }, " ×"));
    }
    function refresh(facets) {
      if (facets) {
        choices(phase, facets.phase, "All phases");
        choices(ending, facets.ending, "All endings");
        choices(fault, facets.fault, "Faults or not");
        tasks.replaceChildren(...Object.keys(facets.task || {}).map(value => AG.el("option", { value })));
      }
      column.value = AG.at("column") || "score";
      for (const input of inputs) if (document.activeElement !== input && !timers.has(input.name)) input.value = AG.at(input.name) || "";
      const on = AG.FILTERS.filter(name => AG.at(name) && (name !== "column" || AG.at("low") || AG.at("high")));
      chips.replaceChildren(
        AG.at("group") ? chip("group", `group ${AG.one(AG.at("group"))}`) : "", AG.at("iteration") ? chip("iteration", `iteration ${Number(AG.at("iteration")) + 1}`) : "",
        on.length ? AG.el("button", { type: "button", class: "quiet", onclick: () => {
          forgetAll();
          AG.swap("table", { ...Object.fromEntries(on.map(name => [name, null])), offset: null });
          changed();
        } }, "Clear filters") : "");
    }
    refresh({});
    const element = AG.el("form", { class: "filters", role: "search", "aria-label": "Filter trajectories", onsubmit: event => event.preventDefault() },
      inputs[0], phase, ending, fault, inputs[1], AG.el("span", { class: "range" }, column, inputs[2], inputs[3]), tasks, chips);
    return { element, refresh, focus: () => { inputs[0].focus(); inputs[0].select(); }, stop: forgetAll };
  };
})();
