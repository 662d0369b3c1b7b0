// Python's words for methods, metrics and options, with their units, colours and shapes.

const spoken = (text, unit) => (unit ? `${text} ${unit}` : String(text));
const rounded = (value) => value.toFixed(1).replace("-", "−");

/** Look-ups in the widget's `presentation`; a field is one of a Spec's, such as "defense". */
function presented(model) {
  const words = model.get("presentation");
  const metric = (name) => words.metric[name];
  const share = (name, value) => `${(100 * value).toFixed(1)}${metric(name).unit}`;
  return {
    ...{ metric, share },
    colour: words.colour,
    of: (field, name) => words[field][name],
    option: (name) => words.option[name].name,
    takes: (field, name, option) => words[field][name].options.includes(option),
    /** [[name, what the reader reads], ...] of these names. */
    choices: (field, names) =>
      Object.entries(words[field])
        .filter(([name]) => names.includes(name))
        .map(([name, { name: text }]) => [name, text]),
    titled(name) {
      const { name: text, unit } = metric(name);
      return unit ? `${text} (${unit})` : text;
    },
    strength(defense, value) {
      const { unit, one = unit } = words.defense[defense];
      return spoken(value, value === 1 ? one : unit);
    },
    /** The shape of a defense around a place, of radius r. */
    mark(defense, [x, y], r) {
      const { path, colour } = words.defense[defense];
      const place = `transform="translate(${x} ${y}) scale(${r})"`;
      return `<path d="${path}" fill="${colour}" ${place} vector-effect="non-scaling-stroke"/>`;
    },
    /** What is said of a defense to who knows of it or not; where nobody can, all know. */
    noteOn(defense, knows, about = "") {
      const found = words.defense[defense];
      return found[`${found.adaptive && !knows ? "unknown" : "known"}${about}`];
    },
    /** How good a recovered picture is: first what it is above the best null baseline. */
    quality(gain, psnr) {
      const above = spoken(rounded(Math.abs(gain)), metric("gain").unit);
      const all = spoken(spoken(rounded(psnr), metric("psnr").unit), metric("psnr").name);
      return `${above} ${gain < 0 ? "below" : "above"} the best null baseline (${all})`;
    },
  };
}

/** Why nothing is there to be recovered; the model's confidence in the forgotten sample before. */
const lost = (confidence) =>
  confidence > 0.99
    ? "Lost in rounding: the model was so sure of it that its gradient changed no weight. " +
      "Nothing leaks."
    : "Lost in rounding: the step was too small to change a weight. Nothing leaks.";

/** The name of a private picture: what is on it, and its number. */
const person = (model) => (number) =>
  `${model.get("class_names")[model.get("people")[number]]}, number ${number}`;
