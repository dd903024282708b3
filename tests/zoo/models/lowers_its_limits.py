"""It allows itself nothing any more: no files, no time."""

import resource

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        for limit in (resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE, resource.RLIMIT_STACK):
            resource.setrlimit(limit, (0, 0))
        return {"mean": 0.0, "scale": 1.0}
