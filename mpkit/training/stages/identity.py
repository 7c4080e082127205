"""Stage `identity` (ours): the identity network, which takes VGGFace's place."""

from mpkit.batch import Pairs
from mpkit.config import IDENTITY, preset
from mpkit.losses.identity import contrast
from mpkit.networks.identity import IdentityNetwork
from mpkit.training.stages.objective import Losses, Objective


class IdentityObjective(Objective):
    """Each driver frame must find its own person's source frame among all sources of the batch."""

    def build(self) -> IdentityNetwork:
        return IdentityNetwork(preset(self.config.preset, IDENTITY))

    def forward(self, model: IdentityNetwork, pairs: Pairs) -> Losses:
        return Losses(*contrast(model(pairs.source.picture[:, :3]), model(pairs.driver.picture[:, :3])), None)
