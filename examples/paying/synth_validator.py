"""What Synth's validators pay (Bittensor subnet 50, the 24 hour competition): a rule, a board, and a softmax.

    python synth_validator.py prompts.json

A line of that list is a prompt and the CRPS of every miner's answer, in basis points, null for who gave none:
{"time": 6, "asset": "BTC", "miners": [0, 1, 2], "crps": [122.6, null, 158.3]}; `time` counts prompts of 6 hours.
"""

import json
import math
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from crunch_game import Board, Prediction
from crunch_game.ranking import BoardRound, Boards, Metric
from crunch_game.scoring import Absent, AnsweredRound, Bounded, InField, MinusBest

COEFFICIENTS = {
    "BTC": 1.0,
    "ETH": 0.7064366394033871,
    "XAU": 1.7370922597118699,
    "SOL": 0.6310037175639559,
    "XRP": 0.5658394110809131,
}
BETA = -0.15
START, HORIZON = datetime(2026, 10, 1, tzinfo=UTC), timedelta(days=1)


def published(prediction: Prediction, outcome: Any) -> float:
    """The validators publish the CRPS itself. Your game has densities and a truth: there, this is `CRPS()`."""
    return prediction.value


# One prompt. Nobody loses more than ten times the median; who is absent loses what nearly the worst do, of those who
# were not bounded; and then the best of the prompt has 0.
rule = InField(published, Bounded(times=10, of="median"), Absent(percentile=95), MinusBest())

# Ten days. An asset that moves little has small losses, and a large coefficient. The prompts before a newcomer's first
# count as if it had been absent, so that nobody gains by coming back under a new name.
board = Board(
    "24h",
    by="mean",
    weight=lambda prompt: COEFFICIENTS[prompt.arguments["asset"]],
    windows={"ten days": "10d"},
    newcomers="absent",
    least=1,
)


def scored(prompt: Mapping[str, Any]) -> BoardRound:
    """One prompt's scores. A game's score worker does this; here there is no game, only its rule and its board."""
    at = START + prompt["time"] * timedelta(hours=6)
    key, when, arguments = prompt["asset"], (at, at + HORIZON, HORIZON.total_seconds()), {"asset": prompt["asset"]}
    # "" is nobody: what the rule gives it as an absentee is for who came later.
    answers = {str(miner): crps for miner, crps in zip(prompt["miners"], prompt["crps"], strict=True)} | {"": None}
    predictions = {miner: Prediction(miner, "", key, *when, value=crps) for miner, crps in answers.items()}
    present = {miner: each for miner, each in predictions.items() if each.value is not None}
    absent = {miner: each for miner, each in predictions.items() if each.value is None}
    scores = rule.score_round(AnsweredRound(key, *when, arguments, None, present, absent))
    own, missed = ({miner: scores[miner] for miner in some} for some in (present, absent))
    return BoardRound(key, *when, arguments, {"crps": own}, absences={"crps": missed}, absent={"crps": missed.pop("")})


def weights(prompts: Iterable[Mapping[str, Any]]) -> dict[str, tuple[float, float]]:
    """Each miner's smoothed score and its share of the reward, the largest share first."""
    boards, rounds = Boards([board], {"crps": Metric(rule.higher_is_better, rule.unit)}), [*map(scored, prompts)]
    for each in rounds:
        boards.put(each)
    [standings] = boards.standings(now=rounds[-1].resolves_at).values()
    smoothed = {each.model_id: each.scores["ten days"] for each in standings}
    powers = {miner: math.exp(BETA * (score - min(smoothed.values()))) for miner, score in smoothed.items()}
    return {miner: (score, powers[miner] / sum(powers.values())) for miner, score in smoothed.items()}


if __name__ == "__main__":
    for miner, (score, share) in weights(json.loads(Path(sys.argv[1]).read_text())).items():
        print(f"miner {miner}: {score:.3f}, {share:.2%} of the reward")
