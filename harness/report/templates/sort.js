"use strict";
// A click on a header sorts its table: ascending, then descending; what has no value stays last.
for (const table of document.querySelectorAll("table.sortable")) {
  for (const button of table.querySelectorAll("th button")) {
    button.addEventListener("click", () => sort(table, button.closest("th")));
  }
}

function sort(table, header) {
  const direction = header.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  const body = table.tBodies[0];
  const key = (row) => {
    const cell = row.cells[header.cellIndex];
    const text = cell.textContent.trim();
    return cell.dataset.value === undefined ? text : Number(cell.dataset.value);
  };
  const compare = (a, b) => {
    const [left, right] = [key(a), key(b)];
    if (left === "" || right === "") return (left === "") - (right === "");
    if (typeof left === "number" && typeof right === "number") return direction * (left - right);
    return direction * String(left).localeCompare(String(right), "en", { numeric: true });
  };
  body.append(...Array.from(body.rows).sort(compare));
  for (const each of header.parentElement.cells) each.setAttribute("aria-sort", "none");
  header.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
}
