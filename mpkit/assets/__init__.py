"""Files that come with mpkit: the face tracker's and the matte's models, the weights, the examples."""

from pathlib import Path

ASSETS = Path(__file__).parent
DEFAULT_WEIGHTS = ASSETS / "weights" / "tiny.safetensors"
GAZE_WEIGHTS = ASSETS / "weights" / "gaze.safetensors"
IDENTITY_WEIGHTS = ASSETS / "weights" / "identity.safetensors"
EXAMPLES = ASSETS / "examples"
