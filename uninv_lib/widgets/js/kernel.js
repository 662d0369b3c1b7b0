// Shared by all widgets: results in the state, and runs in a kernel where one answers.

/** The bar, the words and the button of a run. */
function runBar(model) {
  const bar = h("progress", { max: 1, value: 0, "aria-label": "run in the kernel" });
  const words = h("span", { role: "status" });
  const onclick = () => model.send({ type: "cancel" });
  const cancel = h("button", { type: "button", onclick }, "Cancel");
  const root = h("div", { class: "uninv-run", hidden: true }, bar, words, cancel);
  const show = (message) => {
    const running = message.type === "progress";
    root.hidden = message.type === "done";
    bar.hidden = cancel.hidden = !running;
    if (running) bar.value = message.done;
    const done = `${Math.round(100 * message.done)}%`;
    words.textContent = running ? `The library runs: ${message.name}, ${done}` : message.text;
  };
  return { root, show };
}

/** Runs in the kernel, and `ready` once somebody is there. */
function kernel(model, { ready, finished }) {
  const { root, show } = runBar(model);
  let timer = 0;
  let asked = ""; // the latest Spec, so that a mere repaint does not ask again
  let waiting = false;
  const ask = (spec) => {
    waiting = true;
    model.send({ type: "run", spec });
  };
  const self = {
    root,
    alive: false,
    /** Ask for a run, once, unless the reader moves on within a moment. */
    run(spec) {
      const key = JSON.stringify(spec);
      if (key === asked) return;
      asked = key;
      clearTimeout(timer);
      timer = setTimeout(ask, 300, spec);
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
    } else if (waiting) {
      // else of a run that nobody waits for any more
      waiting = message.type === "progress";
      show(message);
      if (message.type === "done") finished(message.cell, buffers[0]);
    }
  });
  model.send({ type: "hello" });
  return self;
}

/** A kernel whose cells join the results. */
const joined = (model, grid, repaint) =>
  kernel(model, {
    ready: repaint,
    finished: (cell, buffer) => grid.add(cell, buffer).then(repaint),
  });

/** Where there is no cell for what was chosen: what was shown before pales, a kernel is asked. */
function missing(cell, { root, verdict, live }, wanted) {
  root.setAttribute("aria-busy", String(!cell && live.alive));
  root.classList.toggle("uninv-stale", !cell);
  if (cell) live.forget();
  else {
    verdict.textContent = live.alive
      ? "Not computed yet."
      : "Not computed here: run the notebook to compute it.";
    if (live.alive) live.run(wanted);
  }
  return !cell;
}

/** The results in the widget's state: cells found by the fields of their Spec, pictures by
 * number. */
async function results(model) {
  const axes = model.get("axes");
  const fields = Object.keys(axes);
  const key = (spec) => fields.map((name) => spec[name] ?? "").join("|");
  const sheet = (view) => (view?.byteLength ? createImageBitmap(new Blob([view])) : null);
  const stores = [await sheet(model.get("pictures"))];
  const cells = new Map(model.get("cells").map((cell) => [key(cell.spec), { ...cell, store: 0 }]));
  const [, height, width] = model.get("shape");
  const columns = model.get("columns");
  const size = [width, height];
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
      [canvas.width, canvas.height] = size;
      canvas.getContext("2d").drawImage(stores[cell.store], ...place, ...size, 0, 0, ...size);
    },
  };
}
