"""Shapes, parameters and GFLOP of each network: `mpkit info`. All runs on torch's meta device, which allocates and
computes nothing, so the report on the paper's largest preset takes seconds."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mpkit.actions import NUMBERS
from mpkit.config import DISCRIMINATORS, ENHANCERS, PRESETS, STUDENTS, preset
from mpkit.networks import BaseModel, Enhancer, Student
from mpkit.networks.detail import identity_trace
from mpkit.networks.discriminator import HeadDiscriminator

ONCE, FRAME, TRAINING = "per source", "per frame", "training"


class Row(NamedTuple):
    """One network, or one total, at batch 1."""

    network: str  # the name in mpkit
    symbol: str  # the paper's name
    output: str  # shape of its output
    parameters: float  # millions
    gflop: float  # 1e9 additions and multiplications, one each; without sampling and normalisation
    when: str  # when it runs


def network_report(name: str) -> list[Row]:
    """A row for each network of a preset, then the totals. Raises ValueError for an unknown preset."""
    config = preset(name, PRESETS)
    with torch.device("meta"):
        model = BaseModel(config)
        enhancer, student = Enhancer(preset(name, ENHANCERS)), Student(preset(name, STUDENTS))
        discriminator = HeadDiscriminator(preset(name, DISCRIMINATORS), preset("crops", DISCRIMINATORS))
        picture = torch.empty(1, 4, config.image_size, config.image_size)
        driver = torch.empty(1, 3, student.config.image_size, student.config.image_size)
        numbers = torch.empty(1, NUMBERS)

    rows = []

    def add(network: str, symbol: str, module: nn.Module, when: str, *inputs, call=None):
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            output = (call or module)(*inputs)
        parameters = sum(p.numel() for p in module.parameters())
        rows.append(Row(network, symbol, _shape(output), parameters / 1e6, counter.get_total_flops() / 1e9, when))
        return output

    image = picture[:, :3]
    volume, vector = add("appearance encoder", "E_app", model.appearance, ONCE, image)
    motion = add("motion encoder", "E_mtn", model.motion, FRAME, image)
    add("action encoder", "(ours)", model.actions, "instead of E_mtn", numbers)
    add("warp generator, source", "W_s->", model.warp_source, ONCE, motion.expression, vector, motion.pose)
    add("volume refiner", "G_3D", model.refine, ONCE, volume)
    add("warp generator, driver", "W_->d", model.warp_driver, FRAME, motion.expression, vector, motion.pose)
    detail = (identity_trace, picture, vector) if config.detail else ()
    if config.face_size:
        add("fine face field, source", "(ours) face_s->", model.face_source, ONCE, vector)
        add("fine face field, driver", "(ours) face_->d", model.face_driver, FRAME, vector)
        encoder = nn.ModuleList([model.mouth.patches, model.mouth.encoder])
        inputs = picture, motion.pose, None
        mouth = add("mouth of the source", "(ours) mouth_s", encoder, ONCE, *inputs, call=model.source_mouth)
        decoder = nn.ModuleList([nn.ParameterList([model.mouth.constant]), *_others(model.mouth, encoder)])
        inputs = mouth, vector, vector, vector, motion.pose
        add("mouth layer", "(ours) mouth", decoder, FRAME, *inputs, call=model.mouth)
    add("renderer", "P + G_2D", model.render, FRAME, volume, *detail)
    base = list(rows)
    add("enhancer", "G_enh", enhancer, "per HD frame", image)
    add("student", f"G_DT, {student.config.avatars} avatars", student, "instead of G_base", driver, 0)
    add("discriminator", "D", discriminator, TRAINING, image, motion.pose)

    def total(label: str, size: int, members: list[Row]):
        shape = f"3x{size}x{size}"
        rows.append(Row(label, "", shape, sum(r.parameters for r in members), sum(r.gflop for r in members), "total"))

    per_frame = [row for row in base if row.when == FRAME]
    # the motion of the source is read once too
    total("one source", config.image_size, [row for row in base if row.when == ONCE or row.symbol == "E_mtn"])
    total("one driven frame", config.image_size, per_frame)
    total("one enhanced frame", 2 * config.image_size, per_frame + [row for row in rows if row.symbol == "G_enh"])
    return rows


def format_report(rows: list[Row]) -> str:
    """The rows as a text table of fixed width, the totals below a line."""
    head = f"{'network':<24}{'paper':<20}{'output':<22}{'M parameters':>13}{'GFLOP':>10}  when"
    lines, rule = [head], "-" * (len(head) + 8)
    for index, row in enumerate(rows):
        if index == 0 or row.when == "total" and rows[index - 1].when != "total":
            lines.append(rule)
        numbers = f"{row.parameters:>13.2f}{row.gflop:>10.2f}"
        lines.append(f"{row.network:<24}{row.symbol:<20}{row.output:<22}{numbers}  {row.when}")
    return "\n".join(lines)


def _others(network: nn.Module, parts: nn.ModuleList) -> list[nn.Module]:
    """The children of a network that are not among `parts`."""
    return [child for child in network.children() if all(child is not part for part in parts)]


def _shape(output) -> str:
    """The shape of a network's main output without the batch, e.g. 96x16x64x64."""
    if isinstance(output, Tensor):
        return "x".join(str(n) for n in output.shape[1:])
    if hasattr(output, "expression"):
        return f"R, t, s; {_shape(output.expression)}"
    if hasattr(output, "texture"):
        return _shape(output.texture)
    if hasattr(output, "image"):
        return _shape(output.image)
    if isinstance(output, list):  # the discriminator's scales
        return f"{len(output)} maps, {_shape(output[0].score)}"
    return ", ".join(_shape(part) for part in output)
