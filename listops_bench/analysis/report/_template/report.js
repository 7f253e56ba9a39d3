// Shows the text of a mark beside the pointer. Without this script everything else is there.
const tip = document.getElementById("tip");
document.addEventListener("pointerover", (event) => {
  const mark = event.target.closest("figure svg [aria-roledescription][aria-label]:not(g)");
  tip.hidden = !mark;
  if (!mark) return;
  tip.textContent = mark.getAttribute("aria-label");
  const box = tip.getBoundingClientRect();
  const left = Math.min(event.clientX + 12, window.innerWidth - box.width - 8);
  const above = event.clientY - box.height - 12;
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${above > 8 ? above : event.clientY + 16}px`;
});
// On paper nothing can be opened.
addEventListener("beforeprint", () => { for (const part of document.querySelectorAll("details")) part.open = true; });
document.addEventListener("keydown", (event) => { if (event.key === "Escape") tip.hidden = true; });
