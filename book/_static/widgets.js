// Runs the widgets of a built page, without a kernel and without a network: each is an ES module in
// the saved state, imported through a blob, and drawn on a model of a dozen lines. A classic
// script, because file:// allows no other.
(() => {
  const STATE = 'script[type="application/vnd.jupyter.widget-state+json"]';
  const VIEW = 'script[type="application/vnd.jupyter.widget-view+json"]';

  const decode = (base64) => {
    const text = atob(base64);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    return new DataView(bytes.buffer);
  };

  const modelOf = ({ state, buffers = [] }) => {
    const traits = { ...state };
    for (const { path, data } of buffers) traits[path[0]] = decode(data);
    return {
      inBook: true,
      get: (name) => traits[name],
      set: (name, value) => (traits[name] = value),
      save_changes() {},
      send() {}, // there is no kernel to hear it
      on() {},
      off() {},
    };
  };

  const mount = async (view, saved) => {
    const model = modelOf(saved);
    const el = document.createElement("div");
    const url = URL.createObjectURL(new Blob([model.get("_esm")], { type: "text/javascript" }));
    const module = await import(url);
    URL.revokeObjectURL(url);
    view.after(el);
    await module.default.render({ model, el });
    // Two frames later its first view is painted.
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  };

  // The figure in the next cell gives way to the widget, which takes over its number and whoever
  // links to it. Until a widget is drawn uninv.css keeps its place, from the page's first painting.
  const replace = (cell) => {
    const figure = cell.nextElementSibling;
    if (!figure?.matches(".tag_widget-fallback")) return () => {};
    const named = figure.querySelector("figure[id]");
    const number = document.createElement("p");
    if (named) {
      cell.id = named.id;
      named.removeAttribute("id");
      number.className = "uninv-number";
      number.textContent = figure.querySelector(".caption-number")?.textContent ?? "";
      cell.append(number);
    }
    return () => {
      number.remove();
      if (named) [named.id, cell.id] = [cell.id, ""];
    };
  };

  const start = () => {
    const saved = {};
    for (const script of document.querySelectorAll(STATE))
      Object.assign(saved, JSON.parse(script.textContent).state);
    const styles = new Set();
    for (const cell of document.querySelectorAll(".tag_widget")) {
      const view = cell.querySelector(VIEW);
      const model = view && saved[JSON.parse(view.textContent).model_id];
      if (!model) {
        cell.classList.add("uninv-failed"); // the figure below stays
        continue;
      }
      styles.add(model.state._css);
      const restore = replace(cell);
      mount(view, model)
        .then(() => cell.classList.add("uninv-drawn"))
        .catch((error) => {
          console.error(error);
          cell.classList.add("uninv-failed");
          restore();
        });
    }
    document.head.append(
      ...Array.from(styles, (css) =>
        Object.assign(document.createElement("style"), { textContent: css }),
      ),
    );
  };
  // As soon as the page is read: DOMContentLoaded would wait for the theme and for MathJax.
  if (document.readyState === "loading")
    document.addEventListener("readystatechange", start, { once: true });
  else start();
})();
