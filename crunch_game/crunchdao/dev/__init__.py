"""An orchestrator for development: submissions served by nodes of this process, and announced.

It stands for the network on one's own machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crunch_game._public import lazy_face

if TYPE_CHECKING:
    from crunch_game.crunchdao.dev._deployment import Deployment as Deployment
    from crunch_game.crunchdao.dev._orchestrator import DevOrchestrator as DevOrchestrator
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
