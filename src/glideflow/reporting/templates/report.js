"use strict";
(() => {
  const { all, json, restored, show, drawWhenNear, drawOnPaper, prepareTables } = glideflow;

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

  const draw = (plot) => show(plot, plot.dataset.explorer ? explored(plot) : json(plot.dataset.figure));

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

  drawWhenNear(draw);
  drawOnPaper(draw);
  prepareTables();

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
