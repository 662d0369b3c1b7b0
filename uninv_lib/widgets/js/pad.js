// The drawing pad: strokes with mouse, pen or finger; one pixel at a time with the keyboard.

const SIDE = 8;
const LEVELS = 16; // the data set's own shades of grey
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Paint grey values in [0, 1] onto a canvas of as many pixels. */
function paint(canvas, pixels) {
  canvas.width = canvas.height = SIDE;
  const image = new ImageData(SIDE, SIDE);
  pixels.forEach((v, i) => image.data.set([255 * v, 255 * v, 255 * v, 255], 4 * i));
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/** Darken a pixel the more, the nearer it lies to the line between two places of the pad. */
function line(ink, [fx, fy], [x, y]) {
  const length2 = (x - fx) ** 2 + (y - fy) ** 2;
  for (let i = 0; i < SIDE * SIDE; i++) {
    const [px, py] = [(i % SIDE) + 0.5, Math.floor(i / SIDE) + 0.5];
    const dot = (px - fx) * (x - fx) + (py - fy) * (y - fy);
    const along = length2 ? Math.min(1, Math.max(0, dot / length2)) : 0;
    const away = Math.hypot(px - fx - along * (x - fx), py - fy - along * (y - fy));
    ink[i] = Math.max(ink[i], Math.round(LEVELS * Math.min(1, Math.max(0, 1.25 - away))));
  }
}

/** A canvas that the reader draws on, into `ink`; colour: of the keyboard's place. begin() is told
 * before the ink changes, drawn() after it, and moved() of that place. */
function pad(canvas, ink, colour, { begin, drawn, moved }) {
  let at = [3, 3];
  const byKeyboard = () => canvas.matches(":focus-visible");
  byPointer(canvas, ink, begin, drawn);
  canvas.classList.add("uninv-paper");
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-roledescription", "drawing");
  const help = "Arrow keys move, space draws, delete clears.";
  canvas.setAttribute("aria-label", `Your drawing, 8 by 8 pixels. ${help}`);
  canvas.addEventListener("keydown", (event) => {
    const move = MOVES[event.key];
    const draws = [" ", "Enter"].includes(event.key);
    if (!move && !draws && !["Delete", "Backspace"].includes(event.key)) return;
    event.preventDefault();
    if (move) {
      at = at.map((v, d) => Math.min(SIDE - 1, Math.max(0, v + move[d])));
      moved();
      return;
    }
    begin();
    const i = at[1] * SIDE + at[0];
    ink[i] = draws && ink[i] <= LEVELS / 2 ? LEVELS : 0;
    drawn();
  });
  for (const name of ["focus", "blur"]) canvas.addEventListener(name, moved);
  return {
    /** Show the ink, and where the keyboard draws; what there is at that place, in words. */
    show() {
      paint(
        canvas,
        Array.from(ink, (v) => v / LEVELS),
      );
      if (!byKeyboard()) return "";
      const context = canvas.getContext("2d");
      context.fillStyle = colour;
      context.globalAlpha = 0.6;
      context.fillRect(...at, 1, 1);
      const what = ink[at[1] * SIDE + at[0]] ? "ink" : "empty";
      return `Row ${at[1] + 1}, column ${at[0] + 1}: ${what}. ${help}`;
    },
  };
}

function byPointer(canvas, ink, begin, drawn) {
  let last = null;
  const reach = (event) => {
    const box = canvas.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * SIDE;
    const y = ((event.clientY - box.top) / box.height) * SIDE;
    line(ink, last ?? [x, y], [x, y]);
    last = [x, y];
    drawn();
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    last = null;
    begin();
    reach(event);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!canvas.hasPointerCapture(event.pointerId)) return;
    [...(event.getCoalescedEvents?.() ?? []), event].forEach(reach);
  });
}
