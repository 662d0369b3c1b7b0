// Shared by all widgets: axes, and drawings in them.

/** Ticks at round numbers within [low, high]. */
function ticks(low, high, count = 5) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++)
    found.push(i * step);
  return found;
}

const signs = (value) =>
  Math.abs(value) >= 0.001 || value === 0 ? String(+value.toPrecision(3)) : value.toExponential(0);

const text = (x, y, words, anchor = "start") =>
  `<text x="${x}" y="${y}" text-anchor="${anchor}">${words}</text>`;

/** A line through places, [[x, y], ...]. */
const through = (places) => places.map(([x, y], i) => `${i ? "L" : "M"}${x} ${y}`).join("");

/** The room that an axis leaves for the data, and where a value lies in it. */
function frame({ width, height, x, y, xlabel, ylabel, xticks }) {
  const box = { left: 52, right: width - 16, top: 18, bottom: height - (xlabel ? 36 : 20) };
  const px = (v) => box.left + ((v - x[0]) / (x[1] - x[0] || 1)) * (box.right - box.left);
  const py = (v) => box.bottom - ((v - y[0]) / (y[1] - y[0] || 1)) * (box.bottom - box.top);
  const level = (name, v) => `<path class="${name}" d="M${box.left} ${py(v)}H${box.right}"/>`;
  const grid = ticks(...y).map(
    (v) => level("grid", v) + text(box.left - 6, py(v) + 4, signs(v), "end"),
  );
  const below = (xticks ?? ticks(...x).map((v) => [v, signs(v)])).map(([v, words]) =>
    text(px(v), box.bottom + 15, words, "middle"),
  );
  const words = text(0, 11, ylabel) + (xlabel ? text(box.right, height - 4, xlabel, "end") : "");
  const line = `<path class="axis" d="M${box.left} ${box.bottom}H${box.right}"/>`;
  return { px, py, box, level, axes: [line, ...grid, ...below, words].join("") };
}

/** Put a drawing into a chart's element, with its message for those who do not see it. */
function draw(element, label, body, height) {
  const width = Math.max(240, element.clientWidth);
  const size = `width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"`;
  element.setAttribute("aria-label", label);
  element.innerHTML = `<svg ${size} aria-hidden="true">${body(width)}</svg>`;
}
