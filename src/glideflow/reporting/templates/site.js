"use strict";
// Figures of potentials come as scripts: a page on disk cannot read any other file.
glideflow.figures = new Map();
glideflow.receive = (store, figures) => glideflow.figures.set(store, figures);

document.addEventListener("DOMContentLoaded", () => {
  const { all, json, show, drawWhenNear, drawOnPaper, prepareTables, sortTable } = glideflow;

  // A chooser shows one potential at a time and fetches its figures when they are asked for.
  const fetched = (option) =>
    new Promise((resolve, reject) => {
      const store = option.dataset.store;
      if (glideflow.figures.has(store)) return resolve(glideflow.figures.get(store));
      const script = document.createElement("script");
      script.src = option.dataset.script;
      script.onload = () => resolve(glideflow.figures.get(store));
      script.onerror = () => reject(new Error(`${script.src} is missing`));
      document.head.append(script);
    });

  const drawChosen = async (plot) => {
    const option = document.querySelector(`select[data-chooser="${plot.dataset.chosen}"]`).selectedOptions[0];
    plot.setAttribute("aria-label", `γ surface of ${option.label}`);
    try {
      const figures = await fetched(option);
      if (option.selected) show(plot, figures[option.dataset.figure]);
    } catch (error) {
      plot.textContent = error.message;
    }
  };

  const draw = (plot) => {
    if (plot.dataset.chosen) return drawChosen(plot);
    const name = plot.dataset.figure;
    const embedded = document.getElementById(name);
    if (embedded && embedded.tagName === "SCRIPT") return show(plot, json(name));
    for (const figures of glideflow.figures.values()) if (name in figures) return show(plot, figures[name]);
    return undefined;
  };

  for (const select of all("select[data-chooser]")) {
    const plot = document.querySelector(`.plot[data-chosen="${select.dataset.chooser}"]`);
    select.addEventListener("change", () => draw(plot));
    for (const button of all(`button[data-chooser="${select.dataset.chooser}"]`)) {
      button.addEventListener("click", () => {
        const count = select.options.length;
        select.selectedIndex = (select.selectedIndex + Number(button.dataset.step) + count) % count;
        draw(plot);
      });
    }
  }

  for (const button of all("button[data-copy]")) {
    button.addEventListener("click", async () => {
      const text = document.getElementById(button.dataset.copy);
      getSelection().selectAllChildren(text);
      try {
        await navigator.clipboard.writeText(text.textContent);
        button.textContent = "Copied";
      } catch {
        button.textContent = "Press Ctrl+C"; // the clipboard is not open to every page; the text is selected
      }
    });
  }

  // The table of potentials: filters and order live in the address of the page.
  const filters = () => {
    const form = document.getElementById("filters");
    if (!form) return;
    const table = document.querySelector("table[data-noun]");
    const count = document.querySelector(`output[data-count="${table.id}"]`);
    const controls = all("[name]", form);
    const rows = Array.from(table.tBodies[0].rows).map((row) => ({
      row,
      text: row.textContent.toLowerCase().replace(/\s+/g, " "),
      values: Array.from(row.cells, (cell) => cell.dataset.sort),
    }));
    let order = null;

    const keeps = (control, { text, values }) => {
      const { kind, column } = control.dataset;
      const value = values[column];
      if (kind === undefined) return control.value.toLowerCase().split(/\s+/).every((word) => text.includes(word));
      if (kind === "equals") return value === control.value;
      if (kind === "flag") return (value ?? "").split("; ").includes(control.dataset.flag) === (control.value === "only");
      if (value === undefined) return false;
      return kind === "min" ? Number(value) >= Number(control.value) : Number(value) <= Number(control.value);
    };

    const store = () => {
      const state = new URLSearchParams();
      for (const control of controls) if (control.value !== "") state.set(control.name, control.value);
      if (order) state.set("sort", `${order.direction < 0 ? "-" : ""}${order.column}`);
      const text = state.toString();
      history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
    };

    const apply = () => {
      const set = controls.filter((control) => control.value !== "");
      let shown = 0;
      for (const each of rows) {
        each.row.hidden = !set.every((control) => keeps(control, each));
        shown += !each.row.hidden;
      }
      const noun = table.dataset.noun;
      count.textContent = shown === rows.length ? `${shown} ${noun}` : `${shown} of ${rows.length} ${noun}`;
      for (const mark of all("[data-active]", form)) {
        const kinds = mark.dataset.active.split(" ");
        const active = set.filter((control) => kinds.includes(control.dataset.kind)).length;
        mark.textContent = active ? `(${active} set)` : "";
      }
    };

    const restore = () => {
      const state = new URLSearchParams(location.hash.slice(1));
      for (const control of controls) {
        control.value = state.get(control.name) ?? "";
        if (control.value !== "" && control.closest("details")) control.closest("details").open = true;
      }
      const sort = state.get("sort");
      const column = Math.abs(parseInt(sort, 10));
      if (sort !== null && column < table.tHead.rows[0].cells.length) sortTable(table, column, sort.startsWith("-") ? -1 : 1);
      apply();
    };

    table.addEventListener("sorted", ({ detail }) => {
      order = detail.column < 0 ? null : detail;
      store();
    });
    form.addEventListener("input", () => {
      apply();
      store();
    });
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(() => {
      apply();
      store();
    }));
    window.addEventListener("hashchange", restore);
    restore();

    document.getElementById("save-shown").addEventListener("click", () => {
      const quoted = (text) => `"${text.replaceAll('"', '""')}"`;
      const headings = all("thead button", table).map((button) => button.textContent.trim().replace(/\s+/g, " "));
      const shown = Array.from(table.tBodies[0].rows).filter((row) => !row.hidden);
      const lines = shown.map((row) => Array.from(row.cells, (cell) => quoted(cell.textContent.trim())).join(","));
      const text = [headings.map(quoted).join(","), ...lines].join("\n") + "\n";
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
      link.download = "potentials.csv";
      link.click();
      URL.revokeObjectURL(link.href);
    });
  };

  prepareTables();
  filters();
  drawWhenNear(draw);
  drawOnPaper(draw);
});
