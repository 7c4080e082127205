"""Makes `mpkit/assets/face_actions.npz`: how the 52 facial actions move the landmarks of the average face. With it a
driver's numbers can be drawn as a face without the body model, see `animation.face_mesh`.

    python -m mpkit.synthetic.face_actions
"""

import numpy as np

from mpkit.actions import ACTIONS
from mpkit.assets import ASSETS
from mpkit.synthetic.anatomy import average_identity, express, landmarks_on


def face_actions() -> dict[str, np.ndarray]:
    """`neutral` (468, 3) and `offsets` (52, 468, 3) of a whole action, canonical units, float16."""
    identity = average_identity()
    neutral = landmarks_on(identity.neutral)
    offsets = [landmarks_on(express(identity, actions)) - neutral for actions in np.eye(len(ACTIONS), dtype=np.float32)]
    return {"neutral": neutral.astype(np.float16), "offsets": np.stack(offsets).astype(np.float16)}


if __name__ == "__main__":
    np.savez_compressed(ASSETS / "face_actions.npz", **face_actions())
