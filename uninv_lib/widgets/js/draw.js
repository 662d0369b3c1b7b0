// Draw, forget, leak: everything is computed here, from the weights and digits in the state.

const DIGITS = Array.from({ length: 10 }, (_, i) => i);

/** What the server gets of the drawing in the pad. */
function attackOn({ held, ink }, state) {
  const { nets, retained, tested: test, reach, lr } = held;
  const forget = { x: held.normalised(ink), y: state.label };
  const given = { pretrained: nets[state.model], test, reach, lr, forget };
  return leak({ ...state, ...given, retain: retained.slice(0, state.size - 1) });
}

/** Numbers beside the recovered drawing; mean: the similarity of the mean of its class. */
function rowsOf(says, state, result, mean, milliseconds) {
  const [similarity, accuracy, seconds] = ["similarity", "test_accuracy", "seconds"].map(
    says.metric,
  );
  const { name: defense } = says.of("defense", state.defense);
  const law = theory(state, DIGITS.length);
  return [
    [`${similarity.name} to your drawing`, result.similarity.toFixed(3)],
    [`of the mean of other ${state.label}s, no leak`, mean.toFixed(3)],
    ...(law === null ? [] : [[`theory, for this ${defense}`, law.toFixed(3)]]),
    [`${accuracy.name} before`, says.share("test_accuracy", result.before)],
    [`${accuracy.name} after`, says.share("test_accuracy", result.after)],
    [seconds.name, `${milliseconds.toFixed(0)} ${seconds.unit}`],
  ];
}

/** Forget the drawing, attack, and show what was found. */
function report(bench, state) {
  const { says, held, ink, root, found } = bench;
  const started = performance.now();
  const result = (root.result = attackOn(bench, state));
  const milliseconds = performance.now() - started;
  const mean = cosine(held.mean(state.label), held.normalised(ink));
  const like = `${says.metric("similarity").name} ${result.similarity.toFixed(3)}`;
  paint(found.canvas, held.grey(result.x));
  found.canvas.setAttribute("aria-label", `the recovered drawing, ${like}`);
  bench.verdict.textContent = verdictOn(says, result, state.label, mean);
  list(bench.numbers, rowsOf(says, state, result, mean, milliseconds));
  bench.scale.textContent = thresholds(says, state.label);
  const { row } = result;
  const hidden = held.nets[state.model].length > 1;
  const unit = hidden ? `hidden unit ${row.unit + 1}` : `class ${row.unit}`;
  bench.reasons.show({ row, unit, grey: held.grey, tail: mixedIn(says, state) });
}

/** Nothing was forgotten yet. */
function idle({ found, verdict }, empty) {
  paint(found.canvas, new Float64Array(SIDE * SIDE));
  found.canvas.setAttribute("aria-label", "nothing has been forgotten yet");
  verdict.textContent = empty
    ? "Draw a digit, or take a sample."
    : "The model has learned it. Now ask to be forgotten.";
}

function repaint(bench, state) {
  const { fresh, offer, ink } = bench;
  sane(state, fresh, offer);
  ink.set(read(state.drawing));
  const empty = !ink.some((v) => v);
  bench.where.textContent = bench.board.show();
  bench.label.set(empty && !state.corrected ? null : state.label);
  bench.guessed.textContent = origin(state, empty, bench.sampled());
  bench.controls.set(state);
  bench.buttons.forget.disabled = empty || state.forgotten;
  const shows = state.forgotten && !empty;
  for (const part of [bench.reasons.root, bench.numbers, bench.scale]) part.hidden = !shows;
  if (shows) report(bench, state);
  else idle(bench, empty);
}

/** The pad: the first stroke clears a sample, and the page guesses what is drawn. */
function padOf({ says, held, ink, paper, buttons, sampled, chosen }, change) {
  return pad(paper.canvas, ink, says.colour.cursor, {
    begin() {
      if (!sampled()) return;
      ink.fill(0);
      Object.assign(chosen.state, buttons.blank);
    },
    drawn() {
      const { corrected, model: name } = chosen.state;
      const guess = corrected ? {} : { label: classify(held.nets[name], held.normalised(ink)) };
      change({ drawing: written(ink), forgotten: false, ...guess });
    },
    moved: () => chosen.repaint(),
  });
}

/** The parts that show what was found. */
function shown() {
  const [verdict, guessed, where] = ["verdict", "note", "note"].map((kind) =>
    h("p", { class: `uninv-${kind}`, role: "status" }),
  );
  const [paper, found] = [picture("your drawing"), picture("what forgetting it leaks")];
  return { ...{ verdict, guessed, where, paper, found }, numbers: numbers(), scale: note() };
}

/** The parts that the reader turns. */
function turned(model, { says, held, offer, fresh, chosen }) {
  const run = library(model, says, () => chosen.state);
  const change = (patch) => chosen.change(patch instanceof Function ? patch(chosen.state) : patch);
  const pick = (name) => (value) => {
    run.forget();
    change({ [name]: value });
  };
  const words = DIGITS.map((digit) => [digit, String(digit)]);
  const label = choice("This is a", words, (value) => change({ label: value, corrected: true }));
  const buttons = actions(held.samples, fresh, change, run.forget);
  return { run, change, label, buttons, controls: knobs(says, offer, pick) };
}

function lay(bench) {
  const { paper, found, verdict, label, guessed, buttons, run, where } = bench;
  bench.root.append(
    title("Draw, forget, leak"),
    lead(
      "Draw a digit: a model learns it among others. Then have it forgotten, and see what the " +
        "difference of the two models tells.",
    ),
    div(
      "columns uninv-bench",
      div("stage", div("pictures", paper.root, found.root), verdict),
      div("yours", label.root, guessed, div("buttons", ...buttons.all, run.compare), where),
      bench.controls.root,
      div("found", bench.numbers),
    ),
    ...[bench.reasons.root, bench.scale, ...run.parts, bench.chosen.link],
  );
}

function render({ model, el }) {
  const [says, held] = [presented(model), contents(model)];
  const offer = offered(model, says, held.nets);
  const learned = { ...held.samples[0], corrected: false, forgotten: false };
  const fresh = { ...learned, ...model.get("fresh") };
  const root = h("section", { class: "uninv uninv-draw", "aria-label": "Draw, forget, leak" });
  root.engine = { ...held, gradient, leak };
  const chosen = selection(model, "draw", root, fresh, (state) => repaint(bench, state));
  const sampled = () => held.samples.some(({ drawing }) => drawing === chosen.state.drawing);
  const ink = new Uint8Array(SIDE * SIDE);
  const bench = { says, held, offer, fresh, root, chosen, sampled, ink, reasons: why() };
  Object.assign(bench, shown(), turned(model, bench));
  bench.board = padOf(bench, bench.change);
  lay(bench);
  el.append(root);
  chosen.repaint();
}

export default { render };
