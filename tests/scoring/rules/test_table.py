"""The page about rules says of each what it says of itself."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import crunch_game.scoring
from crunch_game.scoring import Likelihood, Pinball, Rule, StepwiseRule, WeightedInterval

PAGE = Path(__file__).parents[3] / "docs" / "rules.md"
KINDS = {"density", "quantiles", "samples", "paths", "probability", "categories", "point"}
FACE = [getattr(crunch_game.scoring, name) for name in crunch_game.scoring.__all__]
RULES = [
    each([0.5]) if each in (Pinball, WeightedInterval) else each()
    for each in FACE
    if isinstance(each, type) and issubclass(each, StepwiseRule) and each is not StepwiseRule
]


def row(rule: StepwiseRule) -> str:
    takes = ", ".join(sorted(rule.takes))
    formula = rule.formula.replace("|", "\\|")
    strictly = "yes" if rule.strictly_proper else "no"
    return f"| `{type(rule).__name__}` | {takes} | {formula} | {rule.unit} | {strictly} | {rule.source} |"


def test_the_page_has_a_row_for_every_rule() -> None:
    shown = re.search(r"\|---\|\n(<!-- rules -->\n)?(.*?)\n(<!-- /rules -->|\n)", PAGE.read_text("utf-8"), re.DOTALL)
    assert shown is not None
    assert shown[2].splitlines() == [row(rule) for rule in RULES]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
def test_every_rule_says_what_it_is(rule: StepwiseRule) -> None:
    as_rule: Rule = rule
    assert as_rule.higher_is_better is (type(rule) is Likelihood)
    assert rule.takes
    assert rule.takes <= KINDS
    assert re.search(r"\(\d{4}\)|birdgame \d", rule.source)
    assert rule.formula
    assert rule.unit == "usual" or isinstance(rule.unit, float)
