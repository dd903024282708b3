"""It changes the locale."""

import locale
from contextlib import suppress

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        for name in ("de_DE.UTF-8", "fr_FR.UTF-8", "C.UTF-8", "C"):
            with suppress(locale.Error):
                locale.setlocale(locale.LC_ALL, name)
                break
        return {"mean": 0.0, "scale": 1.0}
