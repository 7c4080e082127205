"""Stage `identity` (ours): the identity network, which takes VGGFace's place."""

from torch import Tensor

from mpkit.batch import Pairs
from mpkit.config import IDENTITY, preset
from mpkit.losses.identity import contrast
from mpkit.networks.identity import IdentityNetwork
from mpkit.training.stages.objective import Objective


class IdentityObjective(Objective):
    """Trains the identity network: each driver frame must find its own person's source among all of the batch."""

    build = staticmethod(lambda preset_name: IdentityNetwork(preset(preset_name, IDENTITY)))

    def forward(self, model: IdentityNetwork, pairs: Pairs) -> tuple[Tensor, dict[str, Tensor], None]:
        return contrast(model(pairs.source.picture[:, :3]), model(pairs.driver.picture[:, :3]))
