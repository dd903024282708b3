"""Values on the wire: what a model is sent, and what it may answer.

Both sides of the fork use it, and so do capsules and model nodes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crunch_game._public import lazy_face

if TYPE_CHECKING:
    from crunch_game.encoding._values import ENCODING_ERRORS as ENCODING_ERRORS
    from crunch_game.encoding._values import NO_TABLE as NO_TABLE
    from crunch_game.encoding._values import SentTable as SentTable
    from crunch_game.encoding._values import Undecodable as Undecodable
    from crunch_game.encoding._values import Unsendable as Unsendable
    from crunch_game.encoding._values import check_plain as check_plain
    from crunch_game.encoding._values import decode as decode
    from crunch_game.encoding._values import decode_answer as decode_answer
    from crunch_game.encoding._values import dropped as dropped
    from crunch_game.encoding._values import encode as encode
    from crunch_game.encoding._values import encoder as encoder
    from crunch_game.encoding._values import reader as reader
    from crunch_game.encoding._values import sendable as sendable
    from crunch_game.encoding._values import sent_table as sent_table
    from crunch_game.encoding._values import to_wire as to_wire
    from crunch_game.encoding._values import unsendable as unsendable
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
