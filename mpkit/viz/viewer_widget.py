"""The widget of `viz.viewer`. Its front end is viewer.js."""

import base64
import io
from pathlib import Path

import anywidget
import numpy as np
import traitlets
from PIL import Image

from mpkit.viz.pictures import picture_row
from mpkit.viz.views import CAPTIONS, CONTROLS, MotionViews


class Viewer(anywidget.AnyWidget):
    """Sliders for CONTROLS, and the four views of the motion that they set.

    The front end sends `values` when the pictures of the values before have arrived: however fast a slider moves, the
    newest values are shown next, and none wait in a queue.
    """

    _esm = Path(__file__).with_name("viewer.js")
    _css = Path(__file__).with_name("viewer.css")
    controls = traitlets.List().tag(sync=True)  # the fields of each Control
    captions = traitlets.List(list(CAPTIONS)).tag(sync=True)
    values = traitlets.Dict().tag(sync=True)  # of the controls, by name
    pictures = traitlets.List().tag(sync=True)  # the four views as JPEG
    error = traitlets.Unicode().tag(sync=True)  # of the last change, or ""

    def __init__(self, views: MotionViews, values: dict[str, float]):
        self.views = views
        shown = views(**values)  # raises, so that a broken model fails the test of its notebook
        self.shown = shown
        super().__init__(
            controls=[control._asdict() for control in CONTROLS], values=views.start | values, pictures=encoded(shown)
        )
        self.observe(self._change, names="values")

    def _change(self, change) -> None:
        try:
            self.shown, self.error = self.views(**self.values), ""
        except Exception as error:
            self.error = f"{type(error).__name__}: {error}"
        self.pictures = encoded(self.shown)

    def _repr_mimebundle_(self, **options):
        """The widget; and the views as a PNG, for readers of a notebook that has no kernel."""
        bundle = super()._repr_mimebundle_(**options)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        png = picture_row(list(self.shown), CAPTIONS)._repr_png_()
        return {**data, "image/png": base64.b64encode(png).decode(), "text/plain": "viewer"}, metadata


def encoded(views) -> list[bytes]:
    """Pictures (H, W, 3) uint8 as JPEG files."""
    return [_jpeg(picture) for picture in views]


def _jpeg(picture: np.ndarray) -> bytes:
    data = io.BytesIO()
    Image.fromarray(picture).save(data, "jpeg", quality=90)
    return data.getvalue()
