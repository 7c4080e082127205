"""Settings that leave the page: as a link, as a command line, and as Python."""

import dataclasses
import shlex

import gradio as gr
from gallery import MOTIONS, WORKS

from mpkit import Options

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
SETTINGS = {  # of a link: name, its type
    "transfer": str, "pose_strength": float, "expression_strength": float, "parts": list, "smoothing": float,
    "start": float, "seconds": float, "whole_picture": bool, "view_scale": float, "view_x": float, "view_y": float,
    "side_by_side": bool, "sound": bool, "mark": str,
}  # fmt: skip
LINK_SCRIPT %= list(SETTINGS)


def settings_of_link(request: gr.Request) -> list:
    """What a link asks for, as updates of (portrait, motion, settings …); what it does not name, or names wrongly,
    stays as it is."""
    query, updates = request.query_params, []
    portrait = {work.name: str(work.file) for work in WORKS}.get(query.get("portrait", ""))
    updates.append(portrait or gr.skip())
    updates.append(query["motion"] if query.get("motion") in MOTIONS else gr.skip())
    for name, kind in SETTINGS.items():
        updates.append(_parsed(query[name], kind) if name in query else gr.skip())
    return updates


def _parsed(text: str, kind: type):
    try:
        if kind is bool:
            return text == "true"
        return [part for part in text.split(",") if part] if kind is list else kind(text)
    except ValueError:
        return gr.skip()


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
