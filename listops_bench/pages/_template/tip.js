// The text of a mark or a cell beside the pointer or the focus. Without this script everything else is there.
(() => {
  "use strict";
  const tip = document.getElementById("tip");
  const markAt = (event) =>
    event.target.closest && event.target.closest("[data-tip], figure svg [aria-roledescription][aria-label]:not(g)");
  const show = (mark, x, y) => {
    tip.textContent = mark.dataset.tip || mark.getAttribute("aria-label");
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    const left = Math.min(Math.max(8, x + 12), window.innerWidth - box.width - 8);
    const above = y - box.height - 12;
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${above > 8 ? above : Math.min(y + 16, window.innerHeight - box.height - 8)}px`;
  };
  const hide = () => { tip.hidden = true; };
  const point = (event) => {
    const mark = markAt(event);
    if (mark) show(mark, event.clientX, event.clientY);
    else if (event.type === "pointerdown" || event.pointerType === "mouse") hide();
  };
  document.addEventListener("pointermove", point);
  document.addEventListener("pointerdown", point);
  document.addEventListener("focusin", ({ target }) => {
    const box = target.getBoundingClientRect();
    if (target.matches("[data-tip]")) show(target, box.left, box.top);
  });
  document.addEventListener("focusout", hide);
  document.addEventListener("scroll", hide, { passive: true, capture: true });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  // On paper nothing can be opened.
  addEventListener("beforeprint", () => { for (const part of document.querySelectorAll("details")) part.open = true; });
})();
