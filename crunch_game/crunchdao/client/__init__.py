"""The coordinator's side of the network: follows an orchestrator, and asks model nodes.

It stands beside the other rosters and hosts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crunch_game._public import lazy_face

if TYPE_CHECKING:
    from crunch_game.crunchdao.client._credentials import GatewayCredentials as GatewayCredentials
    from crunch_game.crunchdao.client._credentials import SecureCredentials as SecureCredentials
    from crunch_game.crunchdao.client._host import NodeHost as NodeHost
    from crunch_game.crunchdao.client._roster import CrunchRoster as CrunchRoster
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
