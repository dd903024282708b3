"""A model node: one submission served over gRPC, as CrunchDAO's coordinators want it.

It runs on the participant's side of the network; the model itself runs in a process host.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crunch_game._public import lazy_face

if TYPE_CHECKING:
    from crunch_game.crunchdao.node._identity import NodeIdentity as NodeIdentity
    from crunch_game.crunchdao.node._node import ModelNode as ModelNode
    from crunch_game.crunchdao.node._workplace import Workplace as Workplace
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
