"""Settings that leave the page: as a link, as a command line, and as Python."""

import dataclasses
import shlex

import gradio as gr
from gallery import MOTIONS, WORKS
from jobs import MAX_SECONDS

from mpkit import Options

PARTS = ("head", "eyes", "mouth", "brows")
CORNERS = ("bottom-right", "bottom-left", "top-right", "top-left")
# The values of the page's controls become the query of a link. Uploads are not part of it.
LINK_SCRIPT = """
(portrait, motion, ...values) => {
  const names = %s;
  const name = (portrait?.orig_name ?? portrait?.path ?? "").split("/").pop().replace(/\\.[a-z]+$/, "");
  const query = new URLSearchParams({ portrait: name, motion });
  names.forEach((key, index) => query.set(key, values[index]));
  navigator.clipboard.writeText(`${location.origin}${location.pathname}?${query}`);
  return "The link is copied. An uploaded picture is not part of it.";
}
"""
SETTINGS = {  # of a link: name, and what it may be: the least and the largest number, a choice, or True for yes and no
    "transfer": ("relative", "expression", "absolute"), "pose_strength": (0, 1.5), "expression_strength": (0, 1.5), "parts": None,
    "smoothing": (0, 0.95), "start": (0, 60), "seconds": (1, MAX_SECONDS), "whole_picture": True,
    "view_scale": (1, 3), "view_x": (-1, 1), "view_y": (-1, 1), "side_by_side": True, "sound": True, "mark": CORNERS,
}  # fmt: skip
LINK_SCRIPT %= list(SETTINGS)


def settings_of_link(request: gr.Request) -> list:
    """What a link asks for, as updates of (portrait, motion, settings …); what it does not name, or names wrongly,
    stays as it is."""
    query, updates = request.query_params, []
    portrait = {work.name: str(work.file) for work in WORKS}.get(query.get("portrait", ""))
    updates.append(portrait or gr.skip())
    updates.append(query["motion"] if query.get("motion") in MOTIONS else gr.skip())
    for name, allowed in SETTINGS.items():
        updates.append(_parsed(query.get(name, ""), allowed))
    return updates


def _parsed(text: str, allowed):
    """The value of a setting in a link, as SETTINGS allows it; else no change."""
    if allowed is True:
        return text == "true" if text in ("true", "false") else gr.skip()
    if allowed is None:  # parts
        return [part for part in PARTS if part in text.split(",")] or gr.skip()
    if isinstance(allowed[0], str):
        return text if text in allowed else gr.skip()
    try:
        number = float(text)
    except ValueError:
        return gr.skip()
    return number if allowed[0] <= number <= allowed[1] else gr.skip()


def recipes(portrait: str, driver: str, options: Options) -> str:
    """The command line and the Python code that do the same."""
    changed = {
        field.name: getattr(options, field.name)
        for field in dataclasses.fields(Options)
        if getattr(options, field.name) != field.default
    }
    words = []
    for name, value in changed.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            words.append(f"--{flag} " + (" ".join(value) if isinstance(value, tuple) else str(value)))
    command = " ".join(["mpkit animate", shlex.quote(portrait), shlex.quote(driver), *words, "--output out.mp4"])
    arguments = ", ".join(f"{name}={value!r}" for name, value in changed.items())
    call = f"Animator.load().animate({portrait!r}, {driver!r}, 'out.mp4', Options({arguments}))"
    return f"{command}\n\n# Python\nfrom mpkit import Animator, Options\n{call}\n"
