"""What coordinators, orchestrators and model nodes say: messages, values, frames, addresses and attestations.

Nothing here connects to anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crunch_game._public import lazy_face

if TYPE_CHECKING:
    from crunch_game.crunchdao.protocol._addresses import check as check
    from crunch_game.crunchdao.protocol._addresses import is_loopback as is_loopback
    from crunch_game.crunchdao.protocol._addresses import is_unspecified as is_unspecified
    from crunch_game.crunchdao.protocol._addresses import parsed as parsed
    from crunch_game.crunchdao.protocol._addresses import written as written
    from crunch_game.crunchdao.protocol._attestation import Refused as Refused
    from crunch_game.crunchdao.protocol._attestation import WalletAttestation as WalletAttestation
    from crunch_game.crunchdao.protocol._attestation import verify as verify
    from crunch_game.crunchdao.protocol._frames import CONNECTION_FAILED as CONNECTION_FAILED
    from crunch_game.crunchdao.protocol._frames import Announced as Announced
    from crunch_game.crunchdao.protocol._frames import AnnouncementFrame as AnnouncementFrame
    from crunch_game.crunchdao.protocol._frames import FailureReport as FailureReport
    from crunch_game.crunchdao.protocol._frames import FailureReportFrame as FailureReportFrame
    from crunch_game.crunchdao.protocol._frames import IncomingFrame as IncomingFrame
    from crunch_game.crunchdao.protocol._frames import RunState as RunState
    from crunch_game.crunchdao.protocol._frames import report_message as report_message
    from crunch_game.crunchdao.protocol._frames import stop_announcements as stop_announcements
    from crunch_game.crunchdao.protocol._messages import CALL as CALL
    from crunch_game.crunchdao.protocol._messages import CREATED as CREATED
    from crunch_game.crunchdao.protocol._messages import EXISTS as EXISTS
    from crunch_game.crunchdao.protocol._messages import MAX_MESSAGE as MAX_MESSAGE
    from crunch_game.crunchdao.protocol._messages import REST as REST
    from crunch_game.crunchdao.protocol._messages import SERVICE as SERVICE
    from crunch_game.crunchdao.protocol._messages import SETUP as SETUP
    from crunch_game.crunchdao.protocol._messages import UNSENT as UNSENT
    from crunch_game.crunchdao.protocol._messages import Argument as Argument
    from crunch_game.crunchdao.protocol._messages import CallRequest as CallRequest
    from crunch_game.crunchdao.protocol._messages import CallResponse as CallResponse
    from crunch_game.crunchdao.protocol._messages import Empty as Empty
    from crunch_game.crunchdao.protocol._messages import KwArgument as KwArgument
    from crunch_game.crunchdao.protocol._messages import ReplyCode as ReplyCode
    from crunch_game.crunchdao.protocol._messages import RestResponse as RestResponse
    from crunch_game.crunchdao.protocol._messages import SetupRequest as SetupRequest
    from crunch_game.crunchdao.protocol._messages import SetupResponse as SetupResponse
    from crunch_game.crunchdao.protocol._messages import Status as Status
    from crunch_game.crunchdao.protocol._variants import arguments as arguments
    from crunch_game.crunchdao.protocol._variants import decode as decode
    from crunch_game.crunchdao.protocol._variants import decode_answer as decode_answer
    from crunch_game.crunchdao.protocol._variants import encode as encode
    from crunch_game.crunchdao.protocol._variants import keywords as keywords
    from crunch_game.crunchdao.protocol._variants import values as values
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
