"use strict";
// What the report and the site share: figures that are drawn when they are needed, and tables.
const glideflow = (() => {
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

  const plots = () => all(".plot");
  const show = (plot, figure) => {
    plot.dataset.drawn = "yes";
    return Plotly.react(plot, figure.data, figure.layout, CONFIG);
  };

  // Figures are drawn when they come near the window: a page of hundreds of potentials opens at once.
  const drawWhenNear = (draw) => {
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
    plots().forEach((plot) => observer.observe(plot));
  };

  // Paper is narrower than most windows, and its width is not known to a script: figures are fitted to a sheet of A4.
  const SHEET_PX = 1000;
  const drawOnPaper = (draw) => {
    window.addEventListener("beforeprint", () => {
      plots().filter((plot) => !plot.dataset.drawn).forEach(draw);
      const drawn = plots().filter((plot) => plot.dataset.drawn);
      drawn.forEach((plot) => Plotly.relayout(plot, { width: Math.min(plot.clientWidth, SHEET_PX) }));
    });
    window.addEventListener("afterprint", () => {
      const drawn = plots().filter((plot) => plot.dataset.drawn);
      drawn.forEach((plot) => Plotly.relayout(plot, { width: null, autosize: true }));
    });
  };

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
    table.dispatchEvent(new CustomEvent("sorted", { detail: { column, direction } }));
  };

  const prepareTables = () => {
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
  };

  return { all, json, restored, show, drawWhenNear, drawOnPaper, sortTable, prepareTables };
})();
