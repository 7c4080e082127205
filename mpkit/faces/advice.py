"""Advice about a face in a still, before it is animated: what will look bad, and what to do about it."""

from mpkit.actions import ACTIONS
from mpkit.faces.face import Face
from mpkit.faces.face_model import fitted_points

MAX_YAW = 25.0  # degrees; farther aside, the picture hides one cheek and ear, and the model has to invent them
MAX_STILL_YAW = 58.0  # degrees; farther aside one eye is hidden, and a still is refused (animation/view_range.py)
MAX_PITCH = 20.0  # degrees; farther up or down, chin or forehead are too short to show them frontal
MAX_LIP_GAP = 0.045  # head radii; lips that are farther apart show teeth. Closed ones are less than 0.015 apart
MAX_BLINK = 0.7  # of a whole blink, mean of both eyes; in 409 portraits no open eye reads more than 0.59
INNER_LIPS = 13, 14  # landmarks in the middle of the inner edges of upper and lower lip
MIN_FACE_WIDTH = 80.0  # pixels; the result has the face's own pixels, and fewer than these are blurred on a screen


def advice(face: Face, image_size: tuple[int, int]) -> list[str]:
    """Sentences about what will look bad when this face of a still is animated; none for a good face.

    image_size: (width, height) of the still in pixels."""
    yaw, pitch, _ = face.angles
    x0, y0, x1, y1 = face.box
    width, height = image_size
    found = []
    if abs(yaw) > MAX_STILL_YAW:
        return [
            f"The head is seen from the side, turned by {abs(yaw):.0f} degrees: it cannot be animated. Choose a "
            "picture that shows both eyes."
        ]
    if abs(yaw) > MAX_YAW:
        side = "right" if yaw > 0 else "left"
        found.append(
            f"The head is turned {abs(yaw):.0f} degrees to the {side}: the far side of the face will look invented, "
            f"and it will turn less than the driver. Up to {MAX_YAW:.0f} degrees look good."
        )
    if abs(pitch) > MAX_PITCH:
        direction = "down" if pitch > 0 else "up"
        found.append(
            f"The head is tilted {abs(pitch):.0f} degrees {direction}: its proportions will look wrong when it moves. "
            f"Up to {MAX_PITCH:.0f} degrees look good."
        )
    upper, lower = fitted_points(face)[list(INNER_LIPS)]
    if lower[1] - upper[1] > MAX_LIP_GAP:
        found.append("The lips are apart: teeth that the picture shows will be stretched. Closed lips look better.")
    if face.actions[[ACTIONS.index("eyeBlinkLeft"), ACTIONS.index("eyeBlinkRight")]].mean() > MAX_BLINK:
        found.append("The eyes are closed: the picture does not show how they look, so they will open badly.")
    if x1 - x0 < MIN_FACE_WIDTH:
        found.append(
            f"The face is {x1 - x0:.0f} pixels wide: the result will be blurred. "
            f"It is sharp from {MIN_FACE_WIDTH:.0f} pixels on."
        )
    if x0 <= 0 or y0 <= 0 or x1 >= width or y1 >= height:
        found.append("The face touches the edge of the picture: what lies beyond will be smeared.")
    return found
