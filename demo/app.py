"""The demo page: a visitor chooses a portrait and a motion, and gets a video of the portrait with that motion.

make demo                    or: python demo/app.py [--open]        PORT=7860, MPKIT_WEIGHTS=other.safetensors
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # a test or a Space may import this file from elsewhere

import gradio as gr
import jobs
import lessons
import tab_about
import tab_animate
import tab_inside
import tab_puppet
from look import CSS, HEAD, THEME, TITLE

from mpkit.errors import MpkitError
from mpkit.faces.tasks import check_libraries

HOUR = 3600  # seconds after which uploads and results are deleted
LIMITS = {"allowed_paths": [], "max_file_size": "60mb", "footer_links": ["api"]}  # of the server
LIMITS |= {"app_kwargs": {"routes": lessons.routes()}}
LOOK = {"theme": THEME, "css": CSS, "head": HEAD}


def build() -> gr.Blocks:
    """The page."""
    with gr.Blocks(title="mpkit: a portrait comes alive", analytics_enabled=False, delete_cache=(HOUR, HOUR)) as page:
        gr.Markdown(TITLE, elem_id="title")
        with gr.Tab("Animate"):
            inputs = tab_animate.build(page)
        with gr.Tab("Puppet") as puppet:
            sliders = tab_puppet.build(inputs, puppet)
        with gr.Tab("Look inside") as inside:
            tab_inside.build(inputs, sliders, inside)
        with gr.Tab("How it works"):
            tab_about.build()
        page.unload(jobs.leave)
    return page.queue(max_size=20)


def main() -> int:
    port = int(os.environ.get("PORT", "7860"))
    try:
        check_libraries()
        build().launch(server_port=port, inbrowser="--open" in sys.argv, **LOOK, **LIMITS)
    except MpkitError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    except OSError:
        print(f"demo: port {port} is taken; choose another: PORT={port + 1} make demo", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
