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

  addEventListener("hashchange", reveal);
  addEventListener("load", () => {
    Promise.resolve(window.MathJax?.startup?.promise).finally(typeset);
    reveal();
    for (const list of document.querySelectorAll('.citation-list[role="list"]'))
      list.removeAttribute("role"); // no items
    for (const name of document.querySelectorAll(".cell_output th"))
      name.innerHTML = name.innerHTML.replaceAll("_", "_<wbr>");
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
