"""What CRPS and LogScore share: densities, as dicts or as stored text, become arrays that a formula scores."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from reprlib import repr as brief
from typing import TYPE_CHECKING, Any

from crunch_game.scoring.answers import Part
from crunch_game.scoring.rules._base import Found, StepwiseRule

if TYPE_CHECKING:
    from crunch_game.scoring.rules.formulas import Normals

_AT_A_TIME = 1024
"""Stored answers that are decoded together: their objects stay in the processor's cache."""


class DensityRule(StepwiseRule):
    """A rule for densities; each adds its formulas."""

    def score_json(self, texts: Sequence[str | bytes], outcomes: Sequence[Any]) -> Found:
        """Return what `score_many` would for answers that are given as JSON text, as stores keep them: much faster.

        What is a normal or a mixture of normals goes from the text to arrays, and never becomes a dict.

        Raises:
            ValueError: There are not as many texts as outcomes.
            MissingExtra: numpy or scipy is not installed.
        """
        self.prepare()
        from crunch_game.scoring.rules.formulas import decoded

        if len(texts) != len(outcomes):
            raise ValueError(f"there are {len(texts)} answers, but {len(outcomes)} outcomes")
        found: Found = []
        for start in range(0, len(texts), _AT_A_TIME):
            part = slice(start, start + _AT_A_TIME)
            found += self._score_values(decoded(texts[part]), outcomes[part])
        return found

    def _split(self, value: Any) -> Sequence[Any]:
        if isinstance(value, ValueError):
            raise value  # stored text that is no JSON
        steps = value if isinstance(value, list | tuple) else [value] if _is_density(value) else ()
        if not steps:
            told = brief(list(value) if isinstance(value, tuple) else value)
            raise ValueError(f"the answer must be a density or a list of densities, not {told}")
        return steps

    def _refused(self, steps: Sequence[Any]) -> Iterable[ValueError | None]:
        from crunch_game.scoring.answers import as_components

        for step in steps:
            try:
                yield self._refused_density(as_components(step))
            except ValueError as error:
                yield error

    def _score_values(self, values: Sequence[Any], outcomes: Sequence[Any]) -> Found:
        steps = _only_steps(values)
        if steps is None or set(map(type, outcomes)) != {float} or not all(map(math.isfinite, outcomes)):
            return super()._score_values(values, outcomes)
        # No Python for each answer where all have one density, as most have.
        return [
            score if type(score) is float and math.isfinite(score) else self._whole([score], 0)
            for score in self._in_passes(steps, outcomes)
        ]

    def _score_steps(self, steps: Sequence[Any], outcomes: Sequence[Any]) -> Found:
        from crunch_game.scoring.rules.formulas import flattened, np

        truths = np.array(outcomes, dtype=np.float64)
        found: list[Any] = [None] * len(steps)
        flat = flattened(steps)
        with np.errstate(all="ignore"):  # a score that is not finite becomes an error
            for group in flat.normals:
                scores = self._score_normals(truths[group.places], *group[1:]).tolist()
                if len(scores) == len(steps):
                    found = scores
                else:
                    for place, score in zip(group.places.tolist(), scores, strict=True):
                        found[place] = score
                for row, error in self._refused_normals(group).items():
                    found[int(group.places[row])] = error
            refused = {place: self._refused_density(parts) for place, parts in flat.others.items()}
            right = {place: parts for place, parts in flat.others.items() if refused[place] is None}
            for answers in (flat.errors, refused, self._score_others(truths, right)):
                for place, result in answers.items():
                    found[place] = result
        return found

    # What a rule adds

    def _refused_density(self, parts: Sequence[Part]) -> ValueError | None:
        """Why this density cannot be scored, whatever the outcome."""
        raise NotImplementedError

    def _refused_normals(self, group: Normals) -> dict[int, ValueError]:
        """The same of mixtures of normals: by row, of those that cannot be."""
        return {}

    def _score_normals(self, outcomes: Any, weights: Any, locs: Any, scales: Any) -> Any:
        """The scores (n,) of mixtures of normals, all (n, components)."""
        raise NotImplementedError

    def _score_others(self, outcomes: Any, others: dict[int, list[Part]]) -> dict[int, float]:
        """The scores of other densities, by their places in `outcomes`."""
        raise NotImplementedError


def _only_steps(values: Sequence[Any]) -> Sequence[Any] | None:
    """The one density of each answer, if every answer is one, or a list of one."""
    kinds = set(map(type, values))
    if kinds <= {list, tuple}:
        if set(map(len, values)) != {1}:
            return None
        values = [value[0] for value in values]
        kinds = set(map(type, values))
    return values if all(kind is dict or hasattr(kind, "__struct_fields__") for kind in kinds) else None


def _is_density(value: Any) -> bool:
    return isinstance(value, dict) or hasattr(value, "__struct_fields__")


def by_family(parts: Iterable[tuple[int, Part]]) -> dict[str, tuple[list[int], Any]]:
    """The places of parts, and their parameters as arrays (n,), in the order of the family's; by family."""
    from crunch_game.scoring.rules.formulas import np

    rows: dict[str, tuple[list[int], list[tuple[float, ...]]]] = {}
    for place, part in parts:
        places, parameters = rows.setdefault(part.family, ([], []))
        places.append(place)
        parameters.append(part.parameters)
    return {family: (places, np.array(parameters).T) for family, (places, parameters) in rows.items()}
