// The label meter: what the answers of two models tell about the forgotten class.

const SETTING = ["forget_share", "unlearning", "probes"];
const HEIGHT = 220;

const raised = (n) => [...String(n)].map((d) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[d] ?? "⁻").join("");
const percents = (share) => Math.round(100 * share);

const hatch = ({ mark, gap }) =>
  '<pattern id="uninv-hatch" width="6" height="6" patternUnits="userSpaceOnUse" ' +
  `patternTransform="rotate(45)"><rect width="6" height="6" fill="${mark}"/>` +
  `<path d="M0 0H6" stroke="${gap}" stroke-width="2"/></pattern>`;

/** A bar for each change; hatched what the attacker names, marked what was forgotten. */
function bars({ px, py }, changes, { named, forgotten, rest }) {
  const wide = 0.7 * (px(1) - px(0));
  return changes.map((v, i) => {
    const [top, bottom] = [py(Math.max(0, v)), py(Math.min(0, v))];
    const place = `x="${px(i) - wide / 2}" y="${top}"`;
    const size = `width="${wide}" height="${Math.max(1, bottom - top)}"`;
    const bar = `<rect ${place} ${size} fill="${i === named ? "url(#uninv-hatch)" : rest}"/>`;
    return bar + (forgotten === i ? text(px(i), 30, "▼", "middle") : "");
  });
}

/** The change of each class's score. */
function meter(element, says, cell, names, score) {
  const changes = names.map((_, i) => cell.metrics[`change_${i}`]);
  const { inferred_label: named } = cell.metrics;
  const what = says.metric("change").name;
  const largest = Math.max(...changes.map(Math.abs)) || 1e-12;
  const exponent = Math.floor(Math.log10(largest));
  const scaled = changes.map((v) => v / 10 ** exponent);
  const label = `${what[0].toUpperCase()}${what.slice(1)} of each class's ${score}`;
  const last = names.length - 0.5;
  const drawing = (width) => {
    const axes = frame({
      ...{ width, height: HEIGHT, x: [-0.5, last], xlabel: "class" },
      y: [Math.min(0, ...scaled) - 0.3, Math.max(0, ...scaled) + 0.3],
      ylabel: `${what} of ${score} (× 10${raised(exponent)})`,
      xticks: names.map((name, i) => [i, name]),
    });
    const { rest } = says.colour;
    const all = bars(axes, scaled, { named, forgotten: cell.forgotten, rest });
    const zero = `<path class="axis" d="M${axes.px(-0.5)} ${axes.py(0)}H${axes.px(last)}"/>`;
    return [hatch(says.colour), axes.axes, ...all, zero].join("");
  };
  draw(element, `${label}; the lowest is class ${names[named]}`, drawing, HEIGHT);
}

/** How often an attacker is right, with the interval over models. */
function often(says, rate) {
  if (!rate) return "not recorded";
  const { unit } = says.metric("label_accuracy");
  const share = `${percents(rate.right / rate.of)}${unit}`;
  return `${rate.right} of ${rate.of}, ${share} [${percents(rate.low)}, ${percents(rate.high)}]`;
}

/** How often each attacker is right under these settings. */
function compare(element, { model, says, probes, names }, state) {
  const found = (asks) => {
    const setting = { ...state, probes: asks };
    return model.get("rates").find((rate) => SETTING.every((k) => rate[k] === setting[k]));
  };
  const rows = probes.map(([asks, words]) => {
    const now = { "aria-current": asks === state.probes && "true" };
    return [h("dt", now, words), h("dd", now, often(says, found(asks)))];
  });
  const guessing = `${percents(1 / names.length)}${says.metric("label_accuracy").unit}`;
  element.replaceChildren(...rows.flat(), h("dt", {}, "guessing"), h("dd", {}, guessing));
}

/** The controls; set(state, axes) brings a state into what there is, and shows it. */
function knobs({ says, names, methods, probes, fresh }, pick) {
  const classes = names.map((name, i) => [i, name]);
  const { unit } = says.of("option", "forget_share");
  const share = (v) => `${+(100 * v).toPrecision(3)}${unit}`;
  const all = {
    forgotten: choice(says.option("forgotten"), classes, pick("forgotten")),
    forget_share: slider(says.option("forget_share"), share, pick("forget_share")),
    unlearning: choice(says.option("unlearning"), methods, pick("unlearning")),
    probes: choice(says.option("probes"), probes, pick("probes")),
    seed: slider(says.option("seed"), String, pick("seed")),
  };
  const set = (state, axes) => {
    for (const name of ["forget_share", "seed"]) state[name] = nearest(state[name], axes[name]);
    state.forgotten = nearest(state.forgotten, Object.keys(names).map(Number));
    state.unlearning = among(state.unlearning, methods, fresh.unlearning);
    state.probes = among(state.probes, probes, fresh.probes);
    for (const [name, { set }] of Object.entries(all)) set(state[name], axes[name]);
  };
  return { parts: Object.values(all).map(({ root }) => root), set };
}

function verdictOf({ metrics, forgotten }, names) {
  const { inferred_label: named } = metrics;
  const right = named === forgotten ? "right" : "wrong";
  return (
    `The attacker says ${names[named]} (hatched). ` +
    `Forgotten was ${names[forgotten]} (▼): ${right}.`
  );
}

function repaint(view, state) {
  const { model, grid, names, says, verdict } = view;
  const finer = view.live.alive ? model.get("finer") : {};
  view.controls.set(state, { ...grid.axes, ...finer });
  compare(view.rates, view, state);
  const request = model.get("requests")[state.seed]?.[state.forgotten];
  const setting = Object.fromEntries(SETTING.map((name) => [name, state[name]]));
  const wanted = { ...setting, seed: state.seed, request };
  const cell = grid.find(wanted);
  if (missing(cell, view, wanted)) return;
  const score = says.of("score", model.get("scores")[state.probes]).name;
  meter(view.bars, says, cell, names, score);
  verdict.textContent = verdictOf(cell, names);
}

function lay({ root, model, bars, verdict, controls, rates, live, chosen }) {
  root.append(
    title("Label meter"),
    lead(
      "Some samples of one class were forgotten. The attacker asks both models about samples or " +
        "probes of every class, and names the class whose score fell most.",
    ),
    div(
      "columns",
      div("stage", bars, verdict),
      h("div", {}, ...controls.parts, live.root),
      h("div", {}, lead(RIGHT), rates, note(model.get("note"))),
    ),
    chosen.link,
  );
}

const RIGHT = "Right, of all requests with these settings:";

async function render({ model, el }) {
  const [says, grid] = [presented(model), await results(model)];
  const [names, fresh] = [model.get("class_names"), model.get("fresh")];
  const methods = says.choices("unlearning", grid.axes.unlearning);
  const probes = says.choices("probes", grid.axes.probes);
  const root = h("section", { class: "uninv uninv-labels", "aria-label": "Label meter" });
  const view = { model, says, grid, names, fresh, methods, probes, root };
  const chosen = selection(model, "labels", root, fresh, (state) => repaint(view, state));
  const live = joined(model, grid, () => chosen.repaint());
  const controls = knobs(view, (name) => (value) => chosen.change({ [name]: value }));
  const parts = { bars: chart(), verdict: told(), rates: numbers() };
  lay(Object.assign(view, parts, { chosen, live, controls }));
  el.append(root);
  chosen.repaint();
}

export default { render };
