// Shared by all widgets: controls, pictures, charts, the page's fragment, and runs in the kernel.

const COLOURS = ["#0173b2", "#de8f05", "#029e73", "#d55e00"]; // seaborn's "colorblind"

// The library's words and what the reader sees of them.
const METHODS = [["gradient_ascent", "approximate"], ["retrain", "exact"]];
const KINDS = [["none", "none"], ["obfuscation", "obfuscation"], ["pruning", "pruning"], ["fine_tuning", "fine-tuning"]];
const UNITS = { none: "", obfuscation: "× the update", pruning: "of the weights", fine_tuning: "epochs" };

/** An element; properties that start with "on" are event handlers. */
function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

const nearest = (value, values) =>
  values.reduce((best, other) => (Math.abs(other - value) < Math.abs(best - value) ? other : best));

/** A slider over a sorted list of numbers. set(value, values, enabled) shows; pick(value) is told. */
function slider(name, show, pick) {
  let values = [];
  const output = h("output", { "aria-live": "off" }); // the slider itself speaks its value
  const input = h("input", { type: "range", min: 0, step: 1, "aria-label": name, oninput: () => pick(values[input.value]) });
  const root = h("label", { class: "uninv-control" }, h("span", {}, name), output, input);
  return {
    root,
    set(value, allowed, enabled = true) {
      values = allowed;
      input.max = values.length - 1;
      input.value = values.indexOf(value);
      input.disabled = !enabled || values.length < 2;
      output.textContent = enabled ? show(value) : "–";
      input.setAttribute("aria-valuetext", enabled ? show(value) : "does not apply");
    },
  };
}

let groups = 0;

/** A switch; set(on) shows, pick(on) is told. */
function flip(name, pick) {
  const input = h("input", { type: "checkbox", role: "switch", "aria-label": name, onchange: () => pick(input.checked) });
  return { root: h("label", { class: "uninv-switch" }, input, h("span", {}, name)), set: (on) => (input.checked = on) };
}

/** Radio buttons for a few words, a list for many; options: [[value, text], ...]. */
function choice(name, options, pick) {
  const group = `uninv-${(groups += 1)}`;
  if (options.length > 4) {
    const select = h(
      "select",
      { "aria-label": name, onchange: () => pick(options[select.selectedIndex][0]) },
      ...options.map(([, text]) => h("option", {}, text)),
    );
    const set = (value) => (select.selectedIndex = options.findIndex(([other]) => other === value));
    return { root: h("label", { class: "uninv-control" }, h("span", {}, name), select), set };
  }
  const inputs = options.map(([value]) => h("input", { type: "radio", name: group, onchange: () => pick(value) }));
  const labels = options.map(([, text], i) => h("label", {}, inputs[i], h("span", {}, text)));
  const root = h("fieldset", { class: "uninv-choice" }, h("legend", {}, name), ...labels);
  const set = (value) => options.forEach(([other], i) => (inputs[i].checked = other === value));
  return { root, set };
}

const picture = (title) => {
  const canvas = h("canvas", { role: "img", "aria-label": title, width: 1, height: 1 });
  const caption = h("figcaption", {}, title);
  return { root: h("figure", { class: "uninv-picture" }, canvas, caption), canvas, caption };
};

/** Ticks at round numbers within [low, high]. */
function ticks(low, high, count = 5) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) found.push(i * step);
  return found;
}

const signs = (value) => (Math.abs(value) >= 0.001 || value === 0 ? String(+value.toPrecision(3)) : value.toExponential(0));

/** The room that an axis leaves for the data, and where a value lies in it. */
function frame({ width, height, x, y, xlabel, ylabel, xticks }) {
  const box = { left: 52, right: width - 16, top: 18, bottom: height - (xlabel ? 36 : 20) };
  const px = (v) => box.left + ((v - x[0]) / (x[1] - x[0] || 1)) * (box.right - box.left);
  const py = (v) => box.bottom - ((v - y[0]) / (y[1] - y[0] || 1)) * (box.bottom - box.top);
  const grid = ticks(...y)
    .map((v) => `<path class="grid" d="M${box.left} ${py(v)}H${box.right}"/><text x="${box.left - 6}" y="${py(v) + 4}" text-anchor="end">${signs(v)}</text>`)
    .join("");
  const below = (xticks ?? ticks(...x).map((v) => [v, signs(v)]))
    .map(([v, text]) => `<text x="${px(v)}" y="${box.bottom + 15}" text-anchor="middle">${text}</text>`)
    .join("");
  const words = `<text x="0" y="11">${ylabel}</text>` + (xlabel ? `<text x="${box.right}" y="${height - 4}" text-anchor="end">${xlabel}</text>` : "");
  return { px, py, box, axes: `<path class="axis" d="M${box.left} ${box.bottom}H${box.right}"/>${grid}${below}${words}` };
}

/** Put a drawing into a chart's element, with its message for those who do not see it. */
function draw(element, label, body, height) {
  const width = Math.max(240, element.clientWidth);
  element.setAttribute("aria-label", label);
  element.innerHTML = `<svg width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" aria-hidden="true">${body(width)}</svg>`;
}

const decibels = (value) => value.toFixed(1).replace("-", "−");

/** How good a recovered picture is: first what it is above the best null baseline. */
const quality = (gain, psnr) =>
  `${decibels(Math.abs(gain))} dB ${gain < 0 ? "below" : "above"} the best null baseline (${decibels(psnr)} dB PSNR)`;

/** Where there is no cell for what was chosen: what was shown before pales, and a kernel is asked. */
function missing(cell, { root, verdict, live }, wanted) {
  root.setAttribute("aria-busy", String(!cell && live.alive));
  root.classList.toggle("uninv-stale", !cell);
  if (cell) live.forget();
  else {
    verdict.textContent = live.alive ? "Not computed yet." : "Not computed here: run the notebook to compute it.";
    if (live.alive) live.run(wanted);
  }
  return !cell;
}

/** Why nothing is there to be recovered; the model's confidence in the forgotten sample before. */
const lost = (confidence) =>
  confidence > 0.99
    ? "Lost in rounding: the model was so sure of it that its gradient changed no weight. Nothing leaks."
    : "Lost in rounding: the step was too small to change a weight. Nothing leaks.";

const chart = () => h("div", { class: "uninv-chart", role: "img" });

/** The name of a private picture: what is on it, and its number. */
const person = (model) => (number) => `${model.get("class_names")[model.get("people")[number]]}, number ${number}`;

/** What the reader chose: from the widget, then from the page's fragment (#name?field=value&...), kept in both. */
function selection(model, name, root, fresh, render) {
  const state = { ...fresh, ...model.get("selected") };
  const link = h("a", { class: "uninv-link", href: "#" }, "Link to this view");
  let timer = 0;
  let frameAsked = 0;

  const read = () => {
    const [head, query] = location.hash.slice(1).split("?");
    if (!model.inBook || head !== name) return false;
    Object.assign(state, fresh); // a link names what differs from it
    for (const [key, text] of new URLSearchParams(query)) {
      if (!Object.hasOwn(fresh, key)) continue;
      const value = typeof fresh[key] === "number" ? Number(text) : typeof fresh[key] === "boolean" ? text === "true" : text;
      if (!Number.isNaN(value)) state[key] = value;
    }
    return true;
  };
  const address = () => `#${name}?${new URLSearchParams(Object.entries(state).filter(([key, value]) => value !== fresh[key]))}`;
  const keep = () => {
    clearTimeout(timer); // browsers complain about a flood of changed addresses
    timer = setTimeout(() => {
      if (model.inBook) history.replaceState(null, "", address());
      model.set("selected", { ...state });
      model.save_changes();
    }, 250);
  };
  const repaint = () => {
    cancelAnimationFrame(frameAsked);
    frameAsked = requestAnimationFrame(() => {
      render(state);
      link.href = address();
    });
  };
  if (model.inBook) {
    addEventListener("hashchange", () => read() && repaint());
    if (read()) requestAnimationFrame(() => root.scrollIntoView());
  } else link.hidden = true;
  // Else JupyterLab takes the arrow keys: this is its own mark for "somebody types here", set after it has looked.
  const typing = (yes) => root.closest(".jp-Notebook")?.classList.toggle("jp-mod-readWrite", yes);
  root.addEventListener("focusin", () => setTimeout(typing, 0, true));
  root.addEventListener("focusout", () => typing(false));
  new ResizeObserver(repaint).observe(root);
  const change = (patch) => {
    Object.assign(state, patch);
    keep();
    repaint();
  };
  return { state, link, change, repaint };
}

/** Runs in the kernel, where one answers: its progress, a way to end them, and `ready` once somebody is there. */
function kernel(model, { ready, finished }) {
  const bar = h("progress", { max: 1, value: 0, "aria-label": "run in the kernel" });
  const words = h("span", { role: "status" });
  const cancel = h("button", { type: "button", onclick: () => model.send({ type: "cancel" }) }, "Cancel");
  const root = h("div", { class: "uninv-run", hidden: true }, bar, words, cancel);
  let timer = 0;
  let asked = ""; // the latest Spec, so that a mere repaint does not ask again
  let waiting = false;
  const self = {
    root,
    alive: false,
    /** Ask for a run, once, unless the reader moves on within a moment. */
    run(spec) {
      const key = JSON.stringify(spec);
      if (key === asked) return;
      asked = key;
      clearTimeout(timer);
      timer = setTimeout(() => {
        waiting = true;
        model.send({ type: "run", spec });
      }, 300);
    },
    forget() {
      clearTimeout(timer);
      if (waiting) model.send({ type: "cancel" });
      asked = "";
      waiting = false;
      root.hidden = true;
    },
  };
  model.on("msg:custom", (message, buffers) => {
    if (message.type === "ready") {
      self.alive = true;
      ready();
      return;
    }
    if (!waiting) return; // of a run that nobody waits for any more
    const running = waiting = message.type === "progress";
    root.hidden = message.type === "done";
    bar.hidden = cancel.hidden = !running;
    if (running) {
      bar.value = message.done;
      words.textContent = `The library runs: ${message.name}, ${Math.round(100 * message.done)}%`;
    } else if (message.type === "done") finished(message.cell, buffers[0]);
    else words.textContent = message.text; // failed or cancelled
  });
  model.send({ type: "hello" });
  return self;
}

/** The results in the widget's state: cells found by the fields of their Spec, pictures by number. */
async function results(model) {
  const axes = model.get("axes");
  const fields = Object.keys(axes);
  const key = (spec) => fields.map((name) => spec[name] ?? "").join("|");
  const sheet = (view) => (view?.byteLength ? createImageBitmap(new Blob([view])) : null);
  const stores = [await sheet(model.get("pictures"))];
  const cells = new Map(model.get("cells").map((cell) => [key(cell.spec), { ...cell, store: 0 }]));
  const [, height, width] = model.get("shape");
  const columns = model.get("columns");
  return {
    axes,
    cells,
    find: (spec) => cells.get(key(spec)),
    async add(cell, buffer) {
      stores.push(await sheet(buffer));
      cells.set(key(cell.spec), { ...cell, store: stores.length - 1 });
    },
    paint(canvas, cell, number) {
      const at = cell.pictures[number];
      const place = [(at % columns) * width, Math.floor(at / columns) * height];
      canvas.width = width;
      canvas.height = height;
      canvas.getContext("2d").drawImage(stores[cell.store], ...place, width, height, 0, 0, width, height);
    },
  };
}
