"""What the widgets share: their ES modules, and runs of the library that a reader asks for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import anywidget
import torch
import traitlets
from PIL import Image
from pydantic import ValidationError
from torch import Tensor

from uninv_lib.experiment import run
from uninv_lib.methods import applicable
from uninv_lib.spec import Record, Spec, explain
from uninv_lib.widgets.presentation import presentation

FOLDER = Path(__file__).parent / "js"
Live = Callable[..., Record]
"""(spec, *, progress, watch) -> Record, as `experiment.run`."""
SHARED = ("presented", "controls", "charts", "selection", "kernel")
SPOKEN = {
    "chelsea": "cat",
    "china": "palace",
    "hubble_deep_field": "galaxies",
    "immunohistochemistry": "tissue",
}


def spoken(class_names: Iterable[str]) -> list[str]:
    """The classes of `photos` as a reader would call what is on them; all others by their own
    names.
    """
    return [SPOKEN.get(name, name) for name in class_names]


def spec_of(*fields: Mapping[str, Any]) -> Spec:
    """The Spec of these fields, those of the last where one is named twice. Raises
    pydantic.ValidationError.
    """
    merged = {name: value for some in fields for name, value in some.items()}
    return Spec(**applicable(merged))


def module(*names: str) -> str:
    """One ES module of these files and of what all widgets share: a blob or a notebook has no
    folder that a module could import from.
    """
    return "\n".join(
        (FOLDER / f"{name}.js").read_text(encoding="utf-8") for name in (*SHARED, *names)
    )


class Pictures:
    """Pictures of one shape, each held once, side by side in one JPEG, a sixth of their bytes;
    numbers come from the pictures themselves.
    """

    columns = 32

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {}
        self._tiles: list[Image.Image] = []

    def add(self, inputs: Tensor) -> list[int]:
        """The numbers of these pictures, (n, channels, height, width) in [0, 1]."""
        found = []
        for pixels in (
            (inputs.detach().cpu() * 255)
            .round()
            .to(torch.uint8)
            .permute(0, 2, 3, 1)
            .squeeze(-1)
            .numpy()
        ):
            number = self._numbers.setdefault(pixels.tobytes(), len(self._tiles))
            if number == len(self._tiles):
                self._tiles.append(Image.fromarray(pixels))
            found.append(number)
        return found

    def packed(self) -> bytes:
        """All tiles on one sheet, as a JPEG; nothing where there is none."""
        if not self._tiles:
            return b""
        width, height = self._tiles[0].size
        rows = -(-len(self._tiles) // self.columns)
        sheet = Image.new(self._tiles[0].mode, (self.columns * width, rows * height))
        for i, tile in enumerate(self._tiles):
            sheet.paste(tile, (i % self.columns * width, i // self.columns * height))
        packed = BytesIO()
        sheet.save(packed, "JPEG", quality=80, subsampling=0)
        return packed.getvalue()


class Cancelled(Exception):
    """The reader asked for another run, or for none."""


class Widget(anywidget.AnyWidget):
    """A widget whose front end may ask its kernel for a run; without a kernel nobody answers, and
    none is needed.

    live: (Spec, *, progress, watch) -> Record, what a run is; None keeps the widget to what it
    holds. selected: what the reader chose, by name; presentation: what the page calls methods and
    metrics, see there.
    """

    _css = (FOLDER / "widgets.css").read_text(encoding="utf-8")
    selected = traitlets.Dict().tag(sync=True)
    presentation = traitlets.Dict().tag(sync=True)

    def __init__(self, *, live: Live | None = run, **traits: Any) -> None:
        super().__init__(presentation=presentation(), **traits)
        self._live = live
        self._latest = 0
        self._talking = threading.Lock()
        self.worker: threading.Thread | None = None
        self.on_msg(self._asked)

    def cell_of(self, fields: Mapping[str, Any], live: Live, pictures: Pictures) -> dict[str, Any]:
        """Run what the front end names; what it receives, the pictures by number. Raises
        pydantic.ValidationError and whatever a run raises.
        """
        raise NotImplementedError

    def _asked(self, _: Any, message: Mapping[str, Any], buffers: Any) -> None:
        if self._live is None:
            return
        if message.get("type") == "hello":
            self.send({"type": "ready"})
        elif message.get("type") in ("run", "cancel"):
            with self._talking:
                self._latest += 1  # ends the run before
                if message["type"] == "cancel":
                    self.send({"type": "cancelled", "text": "Cancelled."})
                    return
            words = (message["spec"], self._live, self._latest, self.worker)
            self.worker = threading.Thread(target=self._work, args=words, daemon=True)
            self.worker.start()

    def _tell(
        self, number: int, content: dict[str, Any], buffers: list[bytes] | None = None
    ) -> None:
        """Send what run `number` has to say. Raises Cancelled where another one came after it."""
        with self._talking:
            if number != self._latest:
                raise Cancelled
            self.send(content, buffers=buffers)

    def _work(
        self, fields: Mapping[str, Any], live: Live, number: int, before: threading.Thread | None
    ) -> None:
        told = 0.0

        def progress(name: str, done: float) -> None:
            nonlocal told
            if number != self._latest:
                raise Cancelled
            if time.monotonic() - told > 0.1:
                told = time.monotonic()
                self._tell(number, {"type": "progress", "name": name, "done": done})

        def run_live(spec: Spec, **words: Any) -> Record:
            return live(spec, progress=progress, **words)

        if before is not None:
            before.join()
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # as the grid was computed: sums in another order give other bits
        try:
            progress("preparing", 0.0)
            pictures = Pictures()
            cell = self.cell_of(fields, run_live, pictures)
            self._tell(number, {"type": "done", "cell": cell}, [pictures.packed()])
        except Cancelled:
            pass
        except Exception as error:  # whatever a run raises is the reader's to see, in the widget
            text = (
                explain(error) if isinstance(error, ValidationError) else f"The run failed: {error}"
            )
            with suppress(Cancelled):
                self._tell(number, {"type": "failed", "text": text})
        finally:
            torch.set_num_threads(threads)


class Explorer(Widget):
    """A widget over results of the library. Each cell holds what names it (`spec`, by the fields of
    `axes`), its metrics, and the numbers of its `pictures`, `columns` of them in a row; `finer` are
    what a kernel adds to the axes. `fresh` is the view that it opens on, `people` the class of each
    private sample, `note` says what was run.
    """

    axes = traitlets.Dict().tag(sync=True)
    finer = traitlets.Dict().tag(sync=True)
    cells: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    shape = traitlets.List([1, 1, 1]).tag(sync=True)
    pictures = traitlets.Bytes().tag(sync=True)
    columns = traitlets.Int(Pictures.columns).tag(sync=True)
    class_names: traitlets.List[str] = traitlets.List().tag(sync=True)
    fresh = traitlets.Dict().tag(sync=True)
    people: traitlets.List[int] = traitlets.List().tag(sync=True)
    note = traitlets.Unicode().tag(sync=True)
