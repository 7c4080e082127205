"""The package: imports run downwards only, networks need no picture library, files and signatures are short."""

import ast
import subprocess
import sys
from pathlib import Path

import mpkit

PACKAGE = Path(mpkit.__file__).parent
# From the ground up. A module may import its own floor and the floors below it.
FLOORS = (
    {"errors", "files", "config", "device", "weights", "geometry", "actions", "batch", "assets"},
    {"media"}, {"faces"}, {"networks"}, {"animation"}, {"viz"}, {"synthetic"}, {"data"}, {"losses"}, {"training"},
    {"evaluation"}, {"cli"}, {"__main__", "__init__"},
  )  # fmt: skip
MAX_LINES, MAX_ARGUMENTS = 300, 7
FILES = sorted(PACKAGE.rglob("*.py"))


def module_of(file):
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


MODULES = {module_of(file) for file in FILES}


def imports_of(file, everywhere=True):
    """The modules of mpkit that a file imports, at its top level or, with `everywhere`, in functions too."""
    tree = ast.parse(file.read_text())
    found = set()
    for node in ast.walk(tree) if everywhere else tree.body:
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names] + [node.module]
        else:
            continue
        found |= {name.removeprefix("mpkit.") for name in names if name.startswith("mpkit.")}
    return found & MODULES


def floor(module):
    room = module.split(".")[0]
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


def test_imports_run_downwards():
    upwards = [
        f"{module_of(file)} imports {name}"
        for file in FILES
        for name in imports_of(file)
        if floor(name) > floor(module_of(file))
    ]
    assert not upwards, upwards


def test_imports_make_no_circle():
    edges = {module_of(file): imports_of(file) - {module_of(file)} for file in FILES}
    packages = {module for module in MODULES if any(other.startswith(module + ".") for other in MODULES)}
    edges = {module: names - packages for module, names in edges.items() if module not in packages}
    while edges:  # take away what imports nothing that is left; a circle remains
        leaves = {module for module, names in edges.items() if not names & set(edges)}
        assert leaves, f"a circle among {sorted(edges)}"
        edges = {module: names for module, names in edges.items() if module not in leaves}


def test_networks_need_neither_pictures_nor_model_files():
    code = "import sys, mpkit.networks; print(sorted(set(sys.modules) & {'cv2', 'numba', 'mediapipe', 'mpkit.faces'}))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_files_and_signatures_are_short():
    faults = []
    for file in FILES:
        text = file.read_text()
        if len(text.splitlines()) > MAX_LINES:
            faults.append(f"{module_of(file)} has {len(text.splitlines())} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                names = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
                count = len([name for name in names if name not in ("self", "cls")])
                if count > MAX_ARGUMENTS:
                    faults.append(f"{module_of(file)}.{node.name} takes {count} arguments")
    assert not faults, faults
