"use strict";
// Where the data comes from: a server on this machine, asked with the token that the address brought. `embedded.js` is
// the same for a page that carries its data itself. No other file of the page asks anybody for anything.

(() => {
  class Problem extends Error {
    constructor(message, status) {
      super(message);
      this.status = status;
    }
  }
  AG.Problem = Problem;

  // A lone surrogate, which a hostile name may hold, cannot be encoded: it becomes the replacement character.
  const path = value => encodeURIComponent(String(value).toWellFormed ? String(value).toWellFormed() : String(value));

  function query(values) {
    const pairs = new URLSearchParams();
    for (const [name, value] of Object.entries(values || {})) {
      if (value !== null && value !== undefined && value !== "") pairs.set(name, value);
    }
    const text = pairs.toString();
    return text ? `?${text}` : "";
  }

  AG.live = token => {
    async function get(address, signal) {
      let answer;
      try {
        answer = await fetch(`api/${address}`, { headers: { Authorization: `Bearer ${token}` }, cache: "no-store", credentials: "omit", signal });
      } catch (error) {
        if (error.name === "AbortError") throw error;
        throw new Problem("The server does not answer. Is `agentgym view` still running?", 0);
      }
      let value = null;
      try {
        value = await answer.json();
      } catch (error) {
        if (error.name === "AbortError") throw error;
      }
      if (answer.status === 401 || answer.status === 403) {
        throw new Problem("The server wants the token that `agentgym view` printed: open the whole address, with #token=….", answer.status);
      }
      if (!answer.ok || value === null) {
        throw new Problem((value && value.error) || `The server answered ${answer.status} without saying why.`, answer.status);
      }
      return value;
    }
    return {
      live: true,
      limits: "",
      runs: signal => get("runs", signal),
      curves: signal => get("curves", signal),
      metrics: (r, since, signal) => get(`runs/${r}/metrics${query({ since })}`, signal),
      rows: (r, wanted, signal) => get(`runs/${r}/rows${query(wanted)}`, signal),
      trajectory: (r, n, full, signal) => get(`runs/${r}/trajectories/${n}${full ? "?full=1" : ""}`, signal),
      credit: (r, n, signal) => get(`runs/${r}/trajectories/${n}/credit`, signal),
      tokens: (r, n, by, signal) => get(`runs/${r}/trajectories/${n}/tokens${query({ by })}`, signal),
      group: (r, g, phase, iteration, signal) => get(`runs/${r}/groups/${path(g)}${query({ phase, iteration })}`, signal),
      version: since => get(`version${query({ since, wait: 20 })}`),
    };
  };
})();
