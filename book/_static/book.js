// What the theme leaves undone for those who read by keyboard, by ear, on a phone or from disk.
(() => {
  // A link to a figure that a widget replaces, or that is folded away, leads to the widget, or
  // unfolds it.
  const reveal = () => {
    const id = decodeURIComponent(location.hash.slice(1));
    const target = document.getElementById(id);
    if (!target) return;
    for (let around = target; around; around = around.parentElement) {
      if (around.matches("details")) around.open = true;
      if (around.matches(".toggle-hidden") && around !== target)
        around.querySelector(".toggle-button").click();
    }
    target.scrollIntoView();
  };

  const SCROLLING =
    ".cell_output, .math, .pst-scrollable-table-container, .bd-content div.highlight pre";
  const scrolling = (box) => {
    const rest = box.scrollWidth - box.clientWidth - box.scrollLeft;
    box.classList.toggle("more-left", box.scrollLeft > 1);
    box.classList.toggle("more-right", rest > 1);
    if (box.matches("pre")) return; // the theme makes these reachable
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  };

  // Until then a formula is hidden, and its place is kept.
  const typeset = () => document.documentElement.classList.add("uninv-typeset");

  // Above a table of a cell tagged `filter`: a list for each column whose words rows share.
  const SHARED = ["by", "verdict", "data", "nets"];
  const words = (cell) => cell.textContent.split(/[,;] /);
  const filtered = (table) => {
    const [head, ...rows] = table.rows;
    const made = ["div", "output"].map((name) => document.createElement(name));
    const [[bar, left], chosen] = [made, {}];
    const show = () => {
      for (const row of rows)
        row.hidden = Object.entries(chosen).some(
          ([at, word]) => word && !words(row.cells[at]).includes(word),
        );
      left.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows`;
    };
    for (const { textContent: name, cellIndex: at } of head.cells) {
      if (!SHARED.includes(name.trim())) continue;
      const [label, list] = ["label", "select"].map((kind) => document.createElement(kind));
      const all = new Set(rows.flatMap((row) => words(row.cells[at])));
      for (const word of ["", ...all]) list.add(new Option(word || "all", word));
      list.addEventListener("change", () => {
        chosen[at] = list.value;
        show();
      });
      label.append(name, list);
      bar.append(label);
    }
    bar.className = "uninv-filters";
    bar.append(left);
    table.closest(".cell_output").before(bar);
    show();
  };

  addEventListener("hashchange", reveal);
  addEventListener("load", () => {
    Promise.resolve(window.MathJax?.startup?.promise).finally(typeset);
    reveal();
    for (const list of document.querySelectorAll('.citation-list[role="list"]'))
      list.removeAttribute("role"); // no items
    for (const name of document.querySelectorAll(".cell_output th"))
      name.innerHTML = name.innerHTML.replaceAll("_", "_<wbr>");
    document.querySelectorAll(".tag_filter .cell_output table").forEach(filtered);
    for (const link of document.querySelectorAll(".btn-download-source-button")) {
      link.download = DOCUMENTATION_OPTIONS.pagename.split("/").pop() + link.textContent.trim();
    }
    const sizes = new ResizeObserver((changes) =>
      changes.forEach(({ target }) => scrolling(target)),
    );
    for (const box of document.querySelectorAll(SCROLLING)) {
      sizes.observe(box);
      box.addEventListener("scroll", () => scrolling(box), { passive: true });
    }
  });
})();
