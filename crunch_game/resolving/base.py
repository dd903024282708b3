"""Never, which a `resolve` returns where the truth will not be known any more."""

from __future__ import annotations

from crunch_game._public import record

__all__ = ["Never"]


@record
class Never:
    """Returned by a `resolve`: the truth will never be known. The prediction is set aside, and counts for nobody.

    None says the other thing, that it is not known yet.

    Attributes:
        reason: Why, for people: "there is no price of BTC from 12:00 to 12:05".
    """

    reason: str

    def __str__(self) -> str:
        return self.reason
