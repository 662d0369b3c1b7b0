// Shared by all widgets: what the reader chose, in the widget and in the page's fragment.

const typed = (text, like) => {
  if (typeof like === "number") return Number(text);
  return typeof like === "boolean" ? text === "true" : text;
};

/** What the fragment (#name?field=value&...) says; null where it is not of this widget. */
function fromAddress(name, fresh) {
  const [head, query] = location.hash.slice(1).split("?");
  if (head !== name) return null;
  const known = [...new URLSearchParams(query)].filter(([key]) => Object.hasOwn(fresh, key));
  const found = known.map(([key, text]) => [key, typed(text, fresh[key])]);
  return Object.fromEntries(found.filter(([, value]) => !Number.isNaN(value)));
}

function toAddress(name, fresh, state) {
  const changed = Object.entries(state).filter(([key, value]) => value !== fresh[key]);
  return `#${name}?${new URLSearchParams(changed)}`;
}

/** Else JupyterLab takes the arrow keys: this is its own mark for "somebody types here", set after
 * it has looked. */
function keepKeys(root) {
  const typing = (yes) => root.closest(".jp-Notebook")?.classList.toggle("jp-mod-readWrite", yes);
  root.addEventListener("focusin", () => setTimeout(typing, 0, true));
  root.addEventListener("focusout", () => typing(false));
}

/** What the reader chose: from the widget, then from the fragment, and kept in both. */
function selection(model, name, root, fresh, render) {
  const state = { ...fresh, ...model.get("selected") };
  const link = h("a", { class: "uninv-link", href: "#" }, "Link to this view");
  let [timer, frameAsked] = [0, 0];

  const read = () => {
    const found = model.inBook && fromAddress(name, fresh);
    if (found) Object.assign(state, fresh, found); // a link names what differs from fresh
    return Boolean(found);
  };
  const keep = () => {
    if (model.inBook) history.replaceState(null, "", toAddress(name, fresh, state));
    model.set("selected", { ...state });
    model.save_changes();
  };
  const repaint = () => {
    cancelAnimationFrame(frameAsked);
    frameAsked = requestAnimationFrame(() => {
      render(state);
      link.href = toAddress(name, fresh, state);
    });
  };
  const change = (patch) => {
    Object.assign(state, patch);
    clearTimeout(timer); // browsers complain about a flood of changed addresses
    timer = setTimeout(keep, 250);
    repaint();
  };
  if (model.inBook) {
    addEventListener("hashchange", () => read() && repaint());
    if (read()) requestAnimationFrame(() => root.scrollIntoView());
  } else link.hidden = true;
  keepKeys(root);
  new ResizeObserver(repaint).observe(root);
  return { state, link, change, repaint };
}
