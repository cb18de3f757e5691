"use strict";
const table = document.querySelector("table");
const body = table.tBodies[0];
const headings = [...table.tHead.rows[0].cells];
const collator = new Intl.Collator("en", { numeric: true });

function sortBy(column) {
  const heading = headings[column];
  const down = heading.getAttribute("aria-sort") === "ascending";
  headings.forEach((other) => other.removeAttribute("aria-sort"));
  heading.setAttribute("aria-sort", down ? "descending" : "ascending");
  const rows = [...body.rows];
  const key = (row) => row.cells[column].dataset.sort;
  rows.sort((a, b) => (down ? -1 : 1) * collator.compare(key(a), key(b)) || a.dataset.row - b.dataset.row);
  body.append(...rows);
}

headings.forEach((heading, column) => heading.querySelector("button").addEventListener("click", () => sortBy(column)));

const dialog = document.querySelector("dialog");
const content = dialog.querySelector(".content");

body.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-cell]");
  if (!button) return;
  content.replaceChildren(document.getElementById(button.dataset.cell).content.cloneNode(true));
  dialog.showModal();
});
dialog.querySelector(".close").addEventListener("click", () => dialog.close());
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
if (location.hash.startsWith("#cell-")) document.querySelector(`button[data-cell="${CSS.escape(location.hash.slice(1))}"]`)?.click();
if (location.hash.startsWith("#sort-")) headings[Number(location.hash.slice(6))]?.querySelector("button").click();
