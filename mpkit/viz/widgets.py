"""Widgets of notebooks. `explore`: a function under sliders and lists. `viewer`: a portrait under sliders."""

import base64
import inspect
import traceback
from collections.abc import Callable

from mpkit.animation.animator import Animator
from mpkit.animation.portrait import Portrait
from mpkit.viz.views import MotionViews

PLOTLY = "application/vnd.plotly.v1+json"
# A copy of the plotly figure under widgets. Jupyter shows the widgets; notebooks/build.py makes a still of the figure.
SHOWN_FIGURE = "application/vnd.mpkit.figure+json"


def explore(fn: Callable, /, **widgets) -> "Explorer":
    """One widget for each argument of `fn`, and below them what `fn` returns; it runs again at each change.

    A widget is one of ipywidgets or an abbreviation: (least, largest) or (least, largest, step) is a slider, a list a
    dropdown menu, a bool a check box. A slider starts at the default value of the argument, if it has one.
    `fn` runs once right away, and its exception is raised, so that a broken function fails the test of its notebook.
    At a later change an exception is shown as text in place of the result.

    Make what is returned the last value of a cell. Raises ValueError for a widget that is none of these.
    """
    return Explorer(fn, widgets)


def viewer(animator: Animator, portrait: Portrait, **values: float):
    """A portrait under sliders: drag the head or move a slider, and the result, the lattice of w_->d, the flow and a
    slice of the volume follow. `values`: of `views.CONTROLS`, at which it starts; by default as in the picture.
    """
    from mpkit.viz.viewer_widget import Viewer

    return Viewer(MotionViews(animator, portrait), values)


class Explorer:
    """The widgets of `explore` by name (`controls`), their `box`, and what the function returned last (`result`)."""

    def __init__(self, fn: Callable, widgets: dict):
        from ipywidgets import Output, VBox, interactive

        parameters = inspect.signature(fn).parameters
        self.controls = {}
        for name, widget in widgets.items():
            start = parameters[name].default if name in parameters else inspect.Parameter.empty
            control = interactive.widget_from_abbrev(widget, start)
            if control is None:
                raise ValueError(f"{name}={widget!r} is no widget: give (least, largest), a list, a bool or a widget")
            control.description = control.description or name.replace("_", " ")
            control.observe(self._change, names="value")
            self.controls[name] = control
        self.fn, self.result, self.output = fn, None, Output()
        self.box = VBox([*self.controls.values(), self.output])
        if error := self._run():
            raise error

    def _run(self) -> Exception | None:
        """Calls the function and shows what it returns. Returns its exception: raised here, `Output` would hide it."""
        from IPython import get_ipython
        from IPython.display import clear_output, display

        shown = get_ipython() is not None  # otherwise IPython prints to the terminal
        with self.output:
            if shown:
                clear_output(wait=True)
            try:
                self.result = self.fn(**{name: control.get_interact_value() for name, control in self.controls.items()})
            except Exception as error:
                return error
            if shown and self.result is not None:
                display(self.result)
        return None

    def _change(self, change) -> None:
        if error := self._run():
            with self.output:
                print("".join(traceback.format_exception(error)))

    def _repr_mimebundle_(self, **options) -> dict:
        """The widgets; and the result as a PNG, or as plotly's JSON, for readers of a notebook that has no kernel."""
        bundle = self.box._repr_mimebundle_(**options)
        if to_png := getattr(self.result, "_repr_png_", None):
            bundle["image/png"] = base64.b64encode(to_png()).decode()
        elif hasattr(self.result, "to_plotly_json"):
            bundle[SHOWN_FIGURE] = self.result.to_plotly_json()
        return bundle
