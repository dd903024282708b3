"""Run where birdgame can be imported: plays submissions locally, and prints what each predicts after each tick.

python bird_match.py ROWS.json SUBMISSION...
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from crunch_game import Policy, sync


def main(rows: list[dict], submissions: list[Path]) -> None:
    policy = Policy(timeout=60, max_consecutive_failures=0)
    base = "birdgame.trackers.trackerbase.TrackerBase"
    with sync.ModelRunner(base, submissions, init_kwargs={"horizon": 3}, policy=policy, ready_timeout=100) as runner:
        for row in rows:
            told = [runner.call("tick", row, {}), runner.call("predict")]
            for outcome in (outcome for played in told for outcome in played.values()):
                outcome.raise_for_status()
            print(json.dumps({model_id: outcome.value for model_id, outcome in told[1].items()}))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()), [Path(name) for name in sys.argv[2:]])
