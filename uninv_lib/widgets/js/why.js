// Why it works: the weights of one unit after, minus before, divided by what its bias moved.

const TITLE = "How the drawing is read off";

/** Grey values around the middle, which is 0; `most` is white. */
const around = (values, most) => Array.from(values, (v) => 0.5 + v / (2 * (most || 1)));
const largest = (values) => Math.max(...Array.from(values, Math.abs));

/** The pictures with the operators between them; they appear one after the other. */
function why() {
  const names = ["after", "before", "difference", "quotient"];
  const shown = Object.fromEntries(names.map((name) => [name, picture(name)]));
  const bias = h("span", {}, "");
  const sign = (text) => h("span", { class: "uninv-sign" }, text);
  const steps = [
    [shown.after.root, sign("−"), shown.before.root],
    [sign("="), shown.difference.root],
    [sign("÷"), h("span", { class: "uninv-bias" }, bias)],
    [sign("="), shown.quotient.root],
  ];
  const words = h("p", { class: "uninv-note" });
  const strip = h("div", { class: "uninv-strip" });
  strip.append(...steps.map((parts) => h("div", { class: "uninv-step" }, ...parts)));
  const root = h("div", { class: "uninv-why", role: "group", "aria-label": TITLE });
  root.append(h("p", { class: "uninv-title" }, TITLE), strip, words);

  const put = ({ canvas, caption }, text, pixels) => {
    paint(canvas, pixels);
    canvas.setAttribute("aria-label", text);
    caption.textContent = text;
  };
  /** row: of `leak`; unit: what it belongs to, in words; grey: normalised values -> grey ones. */
  const show = ({ row, unit, grey, tail }) => {
    const [most, moved] = [largest([...row.before, ...row.after]), largest(row.change)];
    const stretch = moved ? Math.round(most / moved).toLocaleString("en") : 1;
    put(shown.after, `weights of ${unit}, after`, around(row.after, most));
    put(shown.before, "the same, before", around(row.before, most));
    put(shown.difference, `difference, stretched ${stretch} times`, around(row.change, moved));
    const quotient = row.change.map((v) => v / (row.bias || 1));
    put(shown.quotient, "what this unit alone tells", grey(quotient));
    const number = row.bias.toPrecision(2).replace("-", "−");
    bias.replaceChildren(h("b", {}, number), h("br"), "what its bias moved");
    words.textContent =
      `One weight of ${unit} for each pixel: middle grey is 0, and the difference is stretched ` +
      "for the eye. Unlearning moves each weight by its pixel times one number, and the bias by " +
      `that number alone: divide, and the pixels are there. ${tail}`;
  };
  return { root, show };
}
