// Sorting, filtering and tooltips. Without this script the page still shows everything.
(() => {
  "use strict";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const results = document.getElementById("results");
  const matrix = document.getElementById("matrix");
  const tip = document.getElementById("tip");

  // --- tooltips: matrix cells and the marks of the figures carry their text -------------------------------------------

  const MARKS = "[data-tip], figure svg [aria-roledescription][aria-label]:not(g)";
  const textOf = (mark) => mark.dataset.tip || mark.getAttribute("aria-label");

  const showTip = (mark, x, y) => {
    tip.textContent = textOf(mark);
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    const left = Math.min(Math.max(8, x + 12), window.innerWidth - box.width - 8);
    const above = y - box.height - 12;
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${above > 8 ? above : Math.min(y + 16, window.innerHeight - box.height - 8)}px`;
  };
  const hideTip = () => { tip.hidden = true; };

  document.addEventListener("pointermove", (event) => {
    const mark = event.target.closest && event.target.closest(MARKS);
    if (mark) showTip(mark, event.clientX, event.clientY);
    else if (event.pointerType === "mouse") hideTip();
  });
  document.addEventListener("pointerdown", (event) => {
    const mark = event.target.closest && event.target.closest(MARKS);
    if (mark) showTip(mark, event.clientX, event.clientY);
    else hideTip();
  });
  document.addEventListener("focusin", (event) => {
    if (!event.target.matches("[data-tip]")) return;
    const box = event.target.getBoundingClientRect();
    showTip(event.target, box.left, box.top);
  });
  document.addEventListener("focusout", hideTip);
  document.addEventListener("scroll", hideTip, { passive: true, capture: true });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hideTip(); });

  if (!results || !matrix) return;

  // --- the matrix: one stop of the Tab key, arrow keys inside -----------------------------------------------------------

  const visible = (element) => element.offsetParent !== null;
  const firstCell = () => all(".cell", matrix).find(visible);
  const rove = (cell) => {
    all(".cell[tabindex='0']", matrix).forEach((other) => { other.tabIndex = -1; });
    if (cell) cell.tabIndex = 0;
  };
  const rows = all("tbody tr", matrix);
  const step = (cell, down, right) => {
    const lines = rows.filter(visible);
    let line = lines.indexOf(cell.parentElement), column = cell.cellIndex;
    for (;;) {
      line += down;
      column += right;
      const next = lines[line] && lines[line].cells[column];
      if (!next || column < 1) return null;
      if (next.classList.contains("cell") && visible(next)) return next;
    }
  };
  const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  matrix.addEventListener("keydown", (event) => {
    const cell = event.target.closest(".cell");
    if (!cell || !ARROWS[event.key]) return;
    event.preventDefault();
    const next = step(cell, ...ARROWS[event.key]);
    if (next) { rove(next); next.focus(); }
  });
  matrix.addEventListener("focusin", (event) => { if (event.target.matches(".cell")) rove(event.target); });

  // --- seeds ------------------------------------------------------------------------------------------------------------

  const groups = all(".group", results);
  const open = (group, yes) => {
    group.querySelector(".toggle").setAttribute("aria-expanded", String(yes));
    group.querySelector(".seeds").hidden = !yes;
  };
  groups.forEach((group) => open(group, false));
  results.addEventListener("click", (event) => {
    const button = event.target.closest(".toggle");
    if (button) open(button.closest(".group"), button.getAttribute("aria-expanded") === "false");
  });

  // --- sorting ------------------------------------------------------------------------------------------------------------

  const compare = (a, b) => {
    if (a === "" || b === "") return a === b ? 0 : a === "" ? Infinity : -Infinity; // nothing goes last, either way
    const [x, y] = [Number(a), Number(b)];
    return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b, "en", { numeric: true }) : x - y;
  };
  // Makes a table's headings sort what `items` are, each with its cells in the row that `rowOf` gives.
  const sortable = (table, items, rowOf, parent) => {
    const headings = all("thead:first-child th[data-key]", table);
    const place = new Map(items.map((item, i) => [item, i]));
    const sortBy = (heading) => {
      const column = heading.cellIndex;
      const falling = heading.classList.contains("amount") || heading.classList.contains("strip");
      const current = heading.getAttribute("aria-sort");
      const next = current === null ? (falling ? "descending" : "ascending") : current === "ascending" ? "descending" : "ascending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", next);
      const sign = next === "ascending" ? 1 : -1;
      const keyed = items.map((item) => [rowOf(item).cells[column].dataset.sort, item]);
      keyed.sort(([a, first], [b, second]) => {
        const order = compare(a, b);
        return (Math.abs(order) === Infinity ? order : sign * order) || place.get(first) - place.get(second);
      });
      parent.append(...keyed.map(([, item]) => item));
    };
    headings.forEach((heading) => {
      const button = heading.querySelector("button");
      if (button) button.addEventListener("click", () => sortBy(heading));
    });
  };
  sortable(results, groups, (group) => group.rows[0], results);
  all("table.sortable").forEach((table) => sortable(table, all("tbody tr", table), (row) => row, table.tBodies[0]));

  // --- filters -------------------------------------------------------------------------------------------------------------

  const form = document.getElementById("filters");
  const wanted = () => Object.fromEntries([...new FormData(form)].filter(([, value]) => value !== ""));
  const fits = ({ dataset }, filter) => Object.entries(filter).every(([key, value]) => {
    if (key === "text") return value.toLowerCase().split(/\s+/).every((word) => dataset.text.includes(word));
    if (key === "parameters") return Number(dataset.parameters) <= Number(value);
    return !(key in dataset) || dataset[key] === value;
  });
  const apply = () => {
    const filter = wanted();
    let shown = 0;
    groups.forEach((group) => { group.hidden = !fits(group, filter); shown += group.hidden ? 0 : 1; });
    all("[data-task]", matrix).forEach((cell) => {
      cell.hidden = Boolean(filter.task) && cell.dataset.task !== filter.task;
    });
    rows.forEach((row) => {
      const cells = all(".cell", row).filter((cell) => !cell.hidden);
      const onTrack = cells.some((cell) => !filter.track || cell.dataset.track.split(" ").includes(filter.track));
      row.hidden = !fits(row, filter) || !onTrack;
    });
    const { text, parameters, ...fields } = filter; // these tables have no sizes; those without a text show any
    all("table.filtered tbody tr").forEach((row) => {
      row.hidden = !fits(row, text && row.dataset.text ? { ...fields, text } : fields);
    });
    all("section[data-family]").forEach((section) => {
      section.hidden = Boolean(filter.family) && section.dataset.family !== filter.family;
    });
    document.getElementById("shown").textContent = `${shown} of ${groups.length} rows`;
    document.getElementById("nothing").hidden = shown > 0;
    rove(firstCell());
  };
  form.hidden = false;
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.querySelector("button").addEventListener("click", () => { form.reset(); apply(); });
  apply();
})();
