"""What participants submit is none of our tests, though there may be tests in it."""

from __future__ import annotations

collect_ignore = ["models"]
