// Sorting and filtering. Without this script the page still shows everything.
(() => {
  "use strict";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const results = document.getElementById("results");
  const matrix = document.getElementById("matrix");

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
  // The headings of a table sort its bodies where it has one for each row, else its rows.
  all("table.sortable").forEach((table) => {
    const grouped = table.tBodies[0].classList.contains("group");
    const items = [...(grouped ? table.tBodies : table.tBodies[0].rows)];
    const parent = grouped ? table : table.tBodies[0];
    const headings = all("th[data-key]", table);
    const place = new Map(items.map((item, i) => [item, i]));
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
      parent.append(...keyed.map(([, item]) => item));
    };
    headings.forEach((heading) => {
      const button = heading.querySelector("button");
      if (button) button.addEventListener("click", () => sortBy(heading));
    });
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
