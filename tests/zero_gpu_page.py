"""Starts the page as on ZeroGPU, with the real package `spaces`: only its server and the GPU are replaced.

Processes are forked and the model is on "cuda" before, as there; in the fork it is on the CPU. PYTHONPATH holds the
page, PORT its port. Prints facts as lines of JSON: two before the page starts, and one for each GPU that is asked for.
On SIGUSR1, this process and its forks print where they are.
"""

import concurrent.futures
import contextlib
import faulthandler
import json
import signal
import tempfile
from pathlib import Path

import torch

faulthandler.register(signal.SIGUSR1)

# What `spaces` expects of a build of torch for CUDA.
torch.version.cuda = torch.version.cuda or "12.8"
torch._C._cuda_init = getattr(torch._C, "_cuda_init", None)
torch.cuda._is_in_bad_fork = bool

import spaces.zero.client as client
import spaces.zero.torch as zero_torch
from spaces.zero.api import ScheduleResponse
from spaces.zero.torch import patching


def schedule(task_id, request=None, duration=None, gpu_size=None):
    tell(visitor_known=request is not None, seconds=duration.total_seconds())
    return ScheduleResponse(idle=True, nvidiaIndex=0, nvidiaUUID="GPU", allowToken="")


def move(callback=None):
    """In the fork, in place of the way to the GPU."""
    for on_page, weights in patching.cuda_aliases.items():
        on_page.data = weights
    jobs.animator().device = torch.device("cpu")


def tell(**facts):
    print(json.dumps(facts), flush=True)


client.schedule, client.allow, client.release = schedule, lambda token: None, lambda token, **_: None
client.startup_report = zero_torch.pack = lambda: None
zero_torch.init, zero_torch.move = lambda uuid: None, move

import app
import gallery
import jobs
from faces_on_page import find_faces
from live import picture_of, views_of

from mpkit import Options

PORTRAIT, DRIVER = str(gallery.WORKS[-1].file), gallery.MOTIONS["Nod"]


def use_page():
    """What visitors may do before a process is forked, and a job that is stopped after its first step."""
    views = views_of(PORTRAIT)
    picture_of(views, views.start)
    with tempfile.TemporaryDirectory() as folder:
        with contextlib.closing(jobs.steps(PORTRAIT, DRIVER, Path(folder, "out.mp4"), Options())) as steps:
            first = next(steps)
        left = [path.name for path in Path(folder).iterdir()]
    tell(faces=len(find_faces(PORTRAIT)[1]), page=views.animator.device.type, first=first.done, left=left)


tell(model=next(jobs.animator().model.parameters()).device.type)
with concurrent.futures.ThreadPoolExecutor(1) as thread:  # requests run in threads: in the main one CUDA seems present
    thread.submit(use_page).result()
app.main()
