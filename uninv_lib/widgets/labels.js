// The label meter: what the answers of two models tell about the forgotten class.

const BOXES = [["zoo", "black box"], ["gradient", "white box"]];

/** A rate's Wilson score interval (95%). */
function wilson(hits, trials) {
  const z = 1.96;
  const middle = hits / trials + (z * z) / (2 * trials);
  const half = z * Math.sqrt(((hits / trials) * (1 - hits / trials)) / trials + (z * z) / (4 * trials * trials));
  return [middle - half, middle + half].map((v) => v / (1 + (z * z) / trials));
}

async function render({ model, el }) {
  const grid = await results(model);
  const names = model.get("class_names");
  const finer = () => (live.alive ? model.get("finer") : grid.axes);
  const fresh = { forgotten: 0, forget_share: 0.5, unlearning: "gradient_ascent", probes: "zoo", seed: 0 };
  const pick = (name) => (value) => chosen.change({ [name]: value });
  const forgotten = choice("Forgotten class", names.map((name, i) => [i, name]), pick("forgotten"));
  const share = slider("Share of the class", (v) => `${+(100 * v).toPrecision(3)}%`, pick("forget_share"));
  const method = choice("Unlearning", METHODS, pick("unlearning"));
  const box = choice("The attacker sees", BOXES, pick("probes"));
  const seed = slider("Model before, number", String, pick("seed"));
  const bars = chart();
  const verdict = h("p", { class: "uninv-verdict", role: "status" });
  const rate = h("p", { class: "uninv-rate" });
  const live = kernel(model, { ready: () => chosen.repaint(), finished: (cell) => grid.add(cell).then(chosen.repaint) });

  const meter = (cell) => {
    const changes = names.map((_, i) => cell.metrics[`change_${i}`]);
    const inferred = changes.indexOf(Math.min(...changes));
    const largest = Math.max(...changes.map(Math.abs)) || 1e-12;
    const power = 10 ** Math.floor(Math.log10(largest));
    const label = `Change of each class's confidence; the lowest is class ${names[inferred]}`;
    draw(bars, label, (width) => {
      const y = [Math.min(0, ...changes) / power - 0.3, Math.max(0, ...changes) / power + 0.3];
      const { px, py, axes } = frame({
        width, height: 260, x: [-0.5, names.length - 0.5], y, xlabel: "class",
        ylabel: `change of confidence (× ${signs(power)})`, xticks: names.map((name, i) => [i, name]),
      });
      const wide = 0.7 * (px(1) - px(0));
      const rects = changes.map((v, i) => {
        const [top, bottom] = [py(Math.max(0, v / power)), py(Math.min(0, v / power))];
        const fill = i === inferred ? "url(#uninv-hatch)" : "#8c8c8c";
        const mark = cell.forgotten === i ? `<text x="${px(i)}" y="30" text-anchor="middle">▼</text>` : "";
        return `<rect x="${px(i) - wide / 2}" y="${top}" width="${wide}" height="${Math.max(1, bottom - top)}" fill="${fill}"/>${mark}`;
      });
      return `<pattern id="uninv-hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
        <rect width="6" height="6" fill="${COLOURS[3]}"/><path d="M0 0H6" stroke="#fff" stroke-width="2"/></pattern>
        ${axes}${rects.join("")}<path class="axis" d="M${px(-0.5)} ${py(0)}H${px(names.length - 0.5)}"/>`;
    }, 260);
    const right = inferred === cell.forgotten;
    verdict.textContent = `The attack says ${names[inferred]} (hatched). Forgotten was ${names[cell.forgotten]} (▼): ${right ? "right" : "wrong"}.`;
  };

  const repaint = (state) => {
    const axes = finer();
    for (const name of ["forget_share", "seed"]) state[name] = nearest(state[name], axes[name]);
    state.forgotten = nearest(state.forgotten, names.map((_, i) => i));
    if (!METHODS.some(([word]) => word === state.unlearning)) state.unlearning = fresh.unlearning;
    if (!BOXES.some(([word]) => word === state.probes)) state.probes = fresh.probes;
    forgotten.set(state.forgotten);
    share.set(state.forget_share, axes.forget_share);
    method.set(state.unlearning);
    box.set(state.probes);
    seed.set(state.seed, axes.seed);
    const setting = ["forget_share", "unlearning", "probes"];
    const alike = [...grid.cells.values()].filter((cell) => setting.every((name) => cell.spec[name] === state[name]));
    const hits = alike.filter((cell) => cell.metrics.label_accuracy === 1).length;
    const [low, high] = alike.length ? wilson(hits, alike.length) : [0, 1];
    rate.textContent = alike.length
      ? `All requests with these settings: ${hits} of ${alike.length} right, ${Math.round((100 * hits) / alike.length)}% [${Math.round(100 * low)}, ${Math.round(100 * high)}]; guessing has ${Math.round(100 / names.length)}%.`
      : "No other request with these settings is known here.";
    const request = model.get("requests")[state.seed]?.[state.forgotten];
    const wanted = { ...Object.fromEntries(setting.map((name) => [name, state[name]])), seed: state.seed, request };
    const cell = grid.find(wanted);
    root.setAttribute("aria-busy", String(!cell && live.alive));
    if (cell) {
      live.forget();
      meter(cell);
    } else {
      verdict.textContent = live.alive ? "Not computed yet." : "Not recorded: run the notebook to compute it.";
      if (live.alive) live.run(wanted);
    }
  };

  const root = h("section", { class: "uninv uninv-labels", "aria-label": "Label meter" });
  const chosen = selection(model, "labels", root, fresh, repaint);
  root.append(
    h("p", { class: "uninv-title" }, "Label meter"),
    h("p", { class: "uninv-lead" }, "Some samples of one class were forgotten. The attacker asks both models about probes of every class, and names the class whose confidence fell most."),
    h("div", { class: "uninv-columns" },
      h("div", {}, forgotten.root, share.root, method.root, box.root, seed.root, live.root),
      h("div", {}, bars, verdict, rate)),
    chosen.link,
  );
  el.append(root);
  chosen.repaint();
}

export default { render };
