// Sorting and filtering. Without this script the page still shows everything.
(() => {
  "use strict";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const results = document.getElementById("results");
  const matrix = document.getElementById("matrix");

  if (!results || !matrix) return;

  // --- the matrix: one stop of the Tab key, arrow keys inside -----------------------------------------------------------

  const visible = (element) => !element.hidden;
  const rows = all("tbody tr", matrix);
  const firstCell = () => rows.filter(visible).flatMap((row) => all(".cell", row)).find(visible);
  let stop = null;
  const rove = (cell) => {
    if (stop) stop.tabIndex = -1;
    if (cell) cell.tabIndex = 0;
    stop = cell;
  };
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
  all(".cell a", matrix).forEach((link) => { link.tabIndex = -1; });
  matrix.addEventListener("keydown", (event) => {
    const cell = event.target.closest(".cell");
    if (cell === event.target && event.key === "Enter") cell.querySelector("a").click();
    if (!cell || !ARROWS[event.key]) return;
    event.preventDefault();
    const next = step(cell, ...ARROWS[event.key]);
    if (next) { rove(next); next.focus(); }
  });
  matrix.addEventListener("focusin", (event) => { if (event.target.matches(".cell")) rove(event.target); });

  // --- seeds ------------------------------------------------------------------------------------------------------------

  const open = (group, yes) => {
    group.querySelector(".toggle").setAttribute("aria-expanded", String(yes));
    group.querySelector(".seeds").hidden = !yes;
  };
  all(".group", results).forEach((group) => open(group, false));
  results.addEventListener("click", (event) => {
    const button = event.target.closest(".toggle");
    if (button) open(button.closest(".group"), button.getAttribute("aria-expanded") === "false");
  });

  // --- sorting ------------------------------------------------------------------------------------------------------------

  const { compare: alphabetical } = new Intl.Collator("en", { numeric: true });
  const compare = (a, b) => {
    if (a === "" || b === "") return a === b ? 0 : a === "" ? Infinity : -Infinity; // nothing goes last, either way
    const [x, y] = [Number(a), Number(b)];
    return Number.isNaN(x) || Number.isNaN(y) ? alphabetical(a, b) : x - y;
  };
  // The headings of a table sort its bodies where it has one for each row, else its rows. Of thousands only the first are
  // in the page, or each change would take a second; a button below the table adds as many again.
  const PART = 30;
  const sortables = all("table.sortable").map((table) => {
    const grouped = table.tBodies[0].classList.contains("group");
    const items = [...(grouped ? table.tBodies : table.tBodies[0].rows)];
    const parent = grouped ? table : table.tBodies[0];
    const headings = all("th[data-key]", table);
    const place = new Map(items.map((item, i) => [item, i]));
    const more = document.createElement("button");
    let order = items, filter = () => true, most = PART;
    more.type = "button";
    more.className = "further";
    more.id = `${table.id}-further`;
    table.parentElement.after(more);
    const draw = () => {
      const fitting = order.filter(filter), shown = fitting.slice(0, most);
      parent.replaceChildren(...(grouped ? [table.tHead] : []), ...shown);
      more.hidden = shown.length === fitting.length;
      more.textContent = `Show more rows: ${shown.length} of ${fitting.length.toLocaleString("en")} are shown`;
      return fitting.length;
    };
    const sortBy = (heading) => {
      const column = heading.cellIndex;
      const falling = heading.classList.contains("amount");
      const current = heading.getAttribute("aria-sort");
      const next = current === null ? (falling ? "descending" : "ascending") : current === "ascending" ? "descending" : "ascending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", next);
      const sign = next === "ascending" ? 1 : -1;
      const keyed = items.map((item) => [(grouped ? item.rows[0] : item).cells[column].dataset.sort || "", item]);
      keyed.sort(([a, first], [b, second]) => {
        const order = compare(a, b);
        return (Math.abs(order) === Infinity ? order : sign * order) || place.get(first) - place.get(second);
      });
      order = keyed.map(([, item]) => item);
      draw();
    };
    headings.forEach((heading) => {
      const button = heading.querySelector("button");
      if (button) button.addEventListener("click", () => sortBy(heading));
    });
    more.addEventListener("click", () => { most += PART; draw(); });
    addEventListener("beforeprint", () => { most = Infinity; draw(); }); // on paper nothing can be added
    addEventListener("afterprint", () => { most = PART; draw(); });
    return { table, items, show: (fits) => { filter = fits; most = PART; return draw(); } };
  });

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
    all("[data-task]", matrix).forEach((cell) => {
      cell.hidden = Boolean(filter.task) && cell.dataset.task !== filter.task;
    });
    rows.forEach((row) => {
      const cells = all(".cell", row).filter((cell) => !cell.hidden);
      const onTrack = cells.some((cell) => !filter.track || cell.dataset.track.split(" ").includes(filter.track));
      row.hidden = !fits(row, filter) || !onTrack;
    });
    const { text, parameters, ...fields } = filter; // these tables have no sizes; those without a text show any
    const passes = (row) => fits(row, text && row.dataset.text ? { ...fields, text } : fields);
    all("table.filtered:not(.sortable) tbody tr").forEach((row) => { row.hidden = !passes(row); });
    for (const { table, items, show } of sortables) {
      if (table !== results) { show(passes); continue; }
      const shown = show((group) => fits(group, filter));
      document.getElementById("shown").textContent = `${shown} of ${items.length} rows`;
      document.getElementById("nothing").hidden = shown > 0;
    }
    all("section[data-family]").forEach((section) => {
      section.hidden = Boolean(filter.family) && section.dataset.family !== filter.family;
    });
    rove(firstCell());
  };
  form.hidden = false;
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.querySelector("button").addEventListener("click", () => { form.reset(); apply(); });
  apply();
})();
