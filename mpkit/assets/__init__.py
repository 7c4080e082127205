"""Files that come with mpkit: the face tracker's and the matte's models, the weights, the examples."""

from pathlib import Path

ASSETS = Path(__file__).parent
DEFAULT_WEIGHTS = ASSETS / "weights" / "tiny.safetensors"
EXAMPLES = ASSETS / "examples"
