// What the theme leaves undone for those who read by keyboard or by ear.
addEventListener("load", () => {
  for (const list of document.querySelectorAll('.citation-list[role="list"]')) list.removeAttribute("role"); // no items
  const reachable = ({ target }) => {
    if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
    else target.removeAttribute("tabindex");
  };
  const sizes = new ResizeObserver((changes) => changes.forEach(reachable));
  for (const box of document.querySelectorAll(".cell_output, div.math")) sizes.observe(box);
});
