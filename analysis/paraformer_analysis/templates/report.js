// Sort a table by the column whose head is pressed; pressed again, the other way round.
for (const button of document.querySelectorAll("thead button")) {
  button.addEventListener("click", () => {
    const head = button.closest("th");
    const body = head.closest("table").tBodies[0];
    const column = head.cellIndex;
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const value = (row) => row.cells[column].dataset.order;
    const number = (text) => (text === "inf" ? Infinity : text === "" ? NaN : Number(text));
    const compare = (a, b) => {
      const x = number(value(a)), y = number(value(b));
      if (x === y) return 0;
      return Number.isNaN(x) || Number.isNaN(y) ? value(a).localeCompare(value(b)) : x - y;
    };
    // What is not known stays last, whichever way the rest is sorted.
    const known = [...body.rows].filter((row) => value(row) !== "inf").sort((a, b) => (down ? compare(b, a) : compare(a, b)));
    body.append(...known, ...[...body.rows].filter((row) => value(row) === "inf"));
  });
}
