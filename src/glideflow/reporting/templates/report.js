"use strict";
(() => {
  const CONFIG = {
    responsive: true,
    displaylogo: false,
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "sendChartToCloud"],
    toImageButtonOptions: { format: "svg" },
  };
  const all = (selector, within = document) => Array.from(within.querySelectorAll(selector));
  const json = (id) => JSON.parse(document.getElementById(id).textContent);

  // The counterpart of glideflow.reporting.embedding.restored.
  const ABSENT = "\0absent";
  const restored = (base, change) => {
    if (change === null || change === undefined) return structuredClone(base);
    if ("=" in change) return structuredClone(change["="]);
    if ("#" in change) return base.map((old, index) => restored(old, change["#"][index]));
    const merged = {};
    for (const key of new Set([...Object.keys(base), ...Object.keys(change["{"])])) {
      const value = restored(base[key], change["{"][key]);
      if (value !== ABSENT) merged[key] = value;
    }
    return merged;
  };

  // Explorers: one member of each family of figures at a time.
  const explorers = new Map();
  for (const select of all("select[data-explorer]")) {
    const id = select.dataset.explorer;
    explorers.set(id, { select, store: json(`${id}-store`), facts: document.getElementById(`${id}-facts`) });
  }
  const colourKey = () => document.querySelector("input[name=colours]:checked").value;

  const explored = (plot) => {
    const { select, store } = explorers.get(plot.dataset.explorer);
    const index = Number(select.value);
    const family = store.figures[plot.dataset.member];
    const figure = restored(family.skeleton, family.differences[index]);
    if (figure.layout.meta && "limit_mj_m2" in figure.layout.meta) figure.data[0].zmax = figure.layout.meta[colourKey()];
    plot.setAttribute("aria-label", `${plot.dataset.title} of ${store.items[index].label}`);
    return figure;
  };

  const draw = (plot) => {
    const figure = plot.dataset.explorer ? explored(plot) : json(plot.dataset.figure);
    plot.dataset.drawn = "yes";
    return Plotly.react(plot, figure.data, figure.layout, CONFIG);
  };

  const showFacts = ({ select, store, facts }) => {
    facts.replaceChildren(
      ...store.items[Number(select.value)].facts.map(([name, value]) => {
        const [pair, term, text] = ["div", "dt", "dd"].map((tag) => document.createElement(tag));
        term.textContent = name;
        text.textContent = value;
        pair.append(term, text);
        return pair;
      }),
    );
  };

  const redraw = (id) => {
    showFacts(explorers.get(id));
    all(`.plot[data-explorer="${id}"][data-drawn]`).forEach(draw);
  };

  const choose = (id, index) => {
    const { select, store } = explorers.get(id);
    select.value = String(index);
    redraw(id);
    // The other explorers follow, where they know the potential.
    for (const [other, { select: list, store: { items } }] of explorers) {
      if (other === id) continue;
      const potential = store.items[index].potential;
      if (items[Number(list.value)].potential === potential) continue;
      const found = items.findIndex((item) => item.potential === potential);
      if (found >= 0) {
        list.value = String(found);
        redraw(other);
      }
    }
  };

  for (const [id, { select, store }] of explorers) {
    showFacts(explorers.get(id));
    select.addEventListener("change", () => choose(id, Number(select.value)));
    for (const button of all(`button[data-step][data-explorer="${id}"]`)) {
      const count = store.items.length;
      button.addEventListener("click", () => {
        choose(id, (Number(select.value) + Number(button.dataset.step) + count) % count);
      });
    }
  }
  for (const radio of all("input[name=colours]")) radio.addEventListener("change", () => redraw("gamma-explorer"));

  for (const button of all("button[data-show]")) {
    button.addEventListener("click", () => {
      for (const [id, { store }] of explorers) {
        const index = store.items.findIndex((item) => item.potential === button.dataset.show);
        if (index < 0) continue;
        choose(id, index);
        document.getElementById(`${id}-select`).scrollIntoView({ block: "center" });
        document.getElementById(`${id}-select`).focus();
        return;
      }
    });
  }

  // Figures are drawn when they come near the window: a page of hundreds of potentials opens at once.
  const observer = new IntersectionObserver(
    (entries) => {
      for (const { isIntersecting, target } of entries) {
        if (!isIntersecting) continue;
        observer.unobserve(target);
        draw(target);
      }
    },
    { rootMargin: "600px" },
  );
  all(".plot").forEach((plot) => observer.observe(plot));
  // Paper is narrower than most windows, and its width is not known to a script: figures are fitted to a sheet of A4.
  const SHEET_PX = 1000;
  window.addEventListener("beforeprint", () => {
    all(".plot:not([data-drawn])").forEach(draw);
    all(".plot").forEach((plot) => Plotly.relayout(plot, { width: Math.min(plot.clientWidth, SHEET_PX) }));
  });
  window.addEventListener("afterprint", () => {
    all(".plot").forEach((plot) => Plotly.relayout(plot, { width: null, autosize: true }));
  });

  // Tables: sorting by the full number behind a cell, filtering by the text of a row.
  const compare = (column, direction) => (left, right) => {
    const [a, b] = [left, right].map((row) => row.cells[column].dataset.sort);
    if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
    const numeric = a !== "" && b !== "" && !isNaN(a) && !isNaN(b);
    return direction * (numeric ? a - b : a.localeCompare(b, "en", { numeric: true }));
  };

  const sortTable = (table, column, direction) => {
    const body = table.tBodies[0];
    const rows = Array.from(body.rows);
    rows.sort(column < 0 ? (a, b) => a.dataset.place - b.dataset.place : compare(column, direction));
    body.append(...rows);
    all("thead th", table).forEach((heading, index) => {
      if (index === column) heading.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
      else heading.removeAttribute("aria-sort");
    });
  };

  for (const table of all("table")) {
    Array.from(table.tBodies[0].rows).forEach((row, index) => { row.dataset.place = index; });
    for (const button of all("thead button", table)) {
      button.addEventListener("click", () => {
        const rising = button.closest("th").getAttribute("aria-sort") === "ascending";
        sortTable(table, Number(button.dataset.column), rising ? -1 : 1);
      });
    }
  }
  for (const select of all("select[data-sort-select]")) {
    select.addEventListener("change", () => {
      const table = document.getElementById(select.dataset.sortSelect);
      sortTable(table, select.value === "" ? -1 : Number(select.value), 1);
    });
  }
  for (const input of all("input[data-filter]")) {
    input.addEventListener("input", () => {
      const table = document.getElementById(input.dataset.filter);
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of table.tBodies[0].rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
        shown += !row.hidden;
      }
      const total = table.tBodies[0].rows.length;
      const count = document.querySelector(`output[data-count="${table.id}"]`);
      count.textContent = shown === total ? `${total} ${table.dataset.noun}` : `${shown} of ${total} ${table.dataset.noun}`;
    });
  }

  // A link to a potential opens its section.
  const openTarget = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target && target.tagName === "DETAILS") {
      target.open = true;
      target.scrollIntoView();
    }
  };
  window.addEventListener("hashchange", openTarget);
  openTarget();
})();
