"""An author's module that prints while it is imported."""

from __future__ import annotations

import os
import sys

print("the author's import")
print("the author's warning", file=sys.stderr)
for _ in range(300):
    os.write(2, b"x" * 1023 + b"\n")


class Base:
    def predict(self, number: int) -> int:
        raise NotImplementedError
