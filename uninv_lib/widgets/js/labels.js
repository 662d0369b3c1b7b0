// The label meter: what the answers of two models tell about the forgotten class.

const PROBES = [
  ["public", "public samples, read in log-odds"],
  ["gradient", "published probes, made with the gradient"],
  ["zoo", "published probes, made by queries"],
];
const SETTING = ["forget_share", "unlearning", "probes"];
const HEIGHT = 220;

const raised = (n) => [...String(n)].map((d) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[d] ?? "⁻").join("");

/** The change of each class's score; hatched what the attacker names, marked what was forgotten. */
function meter(element, cell, names) {
  const changes = names.map((_, i) => cell.metrics[`change_${i}`]);
  const { inferred_label: inferred } = cell.metrics;
  const score = cell.spec.probes === "public" ? "log-odds" : "confidence";
  const largest = Math.max(...changes.map(Math.abs)) || 1e-12;
  const exponent = Math.floor(Math.log10(largest));
  const power = 10 ** exponent;
  draw(element, `Change of each class's ${score}; the lowest is class ${names[inferred]}`, (width) => {
    const y = [Math.min(0, ...changes) / power - 0.3, Math.max(0, ...changes) / power + 0.3];
    const { px, py, axes } = frame({
      width, height: HEIGHT, x: [-0.5, names.length - 0.5], y, xlabel: "class",
      ylabel: `change of ${score} (× 10${raised(exponent)})`, xticks: names.map((name, i) => [i, name]),
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
  }, HEIGHT);
}

async function render({ model, el }) {
  const grid = await results(model);
  const [names, fresh] = [model.get("class_names"), model.get("fresh")];
  const finer = () => (live.alive ? model.get("finer") : grid.axes);
  const pick = (name) => (value) => chosen.change({ [name]: value });
  const forgotten = choice("Forgotten class", names.map((name, i) => [i, name]), pick("forgotten"));
  const share = slider("Share of the class", (v) => `${+(100 * v).toPrecision(3)}%`, pick("forget_share"));
  const method = choice("Unlearning", METHODS, pick("unlearning"));
  const probes = choice("The attacker asks", PROBES, pick("probes"));
  const seed = slider("Model before, number", String, pick("seed"));
  const bars = chart();
  const verdict = h("p", { class: "uninv-verdict", role: "status" });
  const rates = h("dl", { class: "uninv-numbers" });
  const live = kernel(model, { ready: () => chosen.repaint(), finished: (cell) => grid.add(cell).then(chosen.repaint) });

  /** How often each attacker is right under these settings. */
  const often = (state) => {
    const found = ([word]) => model.get("rates").find((rate) => SETTING.every((name) => rate[name] === { ...state, probes: word }[name]));
    const told = (rate) => (rate ? `${rate.right} of ${rate.of}, ${Math.round((100 * rate.right) / rate.of)}% [${Math.round(100 * rate.low)}, ${Math.round(100 * rate.high)}]` : "not recorded");
    rates.replaceChildren(
      ...PROBES.flatMap((one) => {
        const now = one[0] === state.probes && "true";
        return [h("dt", { "aria-current": now }, one[1]), h("dd", { "aria-current": now }, told(found(one)))];
      }),
      h("dt", {}, "guessing"), h("dd", {}, `${Math.round(100 / names.length)}%`),
    );
  };

  const repaint = (state) => {
    const axes = finer();
    for (const name of ["forget_share", "seed"]) state[name] = nearest(state[name], axes[name]);
    state.forgotten = nearest(state.forgotten, names.map((_, i) => i));
    if (!METHODS.some(([word]) => word === state.unlearning)) state.unlearning = fresh.unlearning;
    if (!PROBES.some(([word]) => word === state.probes)) state.probes = fresh.probes;
    forgotten.set(state.forgotten);
    share.set(state.forget_share, axes.forget_share);
    method.set(state.unlearning);
    probes.set(state.probes);
    seed.set(state.seed, axes.seed);
    often(state);
    const request = model.get("requests")[state.seed]?.[state.forgotten];
    const wanted = { ...Object.fromEntries(SETTING.map((name) => [name, state[name]])), seed: state.seed, request };
    const cell = grid.find(wanted);
    if (missing(cell, { root, verdict, live }, wanted)) return;
    meter(bars, cell, names);
    const { inferred_label: inferred } = cell.metrics;
    verdict.textContent = `The attacker says ${names[inferred]} (hatched). Forgotten was ${names[cell.forgotten]} (▼): ${inferred === cell.forgotten ? "right" : "wrong"}.`;
  };

  const root = h("section", { class: "uninv uninv-labels", "aria-label": "Label meter" });
  const chosen = selection(model, "labels", root, fresh, repaint);
  root.append(
    h("p", { class: "uninv-title" }, "Label meter"),
    h("p", { class: "uninv-lead" }, "Some samples of one class were forgotten. The attacker asks both models about samples or probes of every class, and names the class whose score fell most."),
    h("div", { class: "uninv-columns" },
      h("div", { class: "uninv-stage" }, bars, verdict),
      h("div", {}, forgotten.root, share.root, method.root, probes.root, seed.root, live.root),
      h("div", {}, h("p", { class: "uninv-lead" }, "Right, of all requests with these settings:"), rates, h("p", { class: "uninv-note" }, model.get("note")))),
    chosen.link,
  );
  el.append(root);
  chosen.repaint();
}

export default { render };
