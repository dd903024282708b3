"""What can be asked of an answer, of whatever kind: its density, its distribution function, its quantiles, draws.

numpy and scipy come with the extra `scoring`, and are imported when the first answer is asked.
"""

from __future__ import annotations

from reprlib import repr as brief
from typing import TYPE_CHECKING, Any

from crunch_game.errors import MissingExtra
from crunch_game.scoring.answers._events import check_probability, check_sum
from crunch_game.scoring.answers._quantiles import check_quantiles

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from crunch_game.scoring.answers._numeric import Distribution, Size

_KINDS = ("density", "quantiles", "samples", "paths", "probability", "categories", "point")


def pdf(answer: Any, x: ArrayLike, *, kind: str | None = None) -> NDArray[np.float64]:
    """Return the density at x, or the probability of x where it is an event or a category.

    An event is 1 where it happens, else 0; categories are their names, or counted from 0.

    Args:
        answer: A density, a probability or the probabilities of categories; one, not a list of one for each step.
        x: Numbers of any shape, which is that of the result. (Names of categories, if the answer has these.)
        kind: Needed where plain numbers do not tell: "probability" of a number, "categories" of a list.

    Raises:
        ValueError: It is no such answer, or one that has no density: quantiles, samples, paths, a point.
        MissingExtra: numpy or scipy is not installed.
    """
    return _asked(answer, "pdf", x, kind)


def cdf(answer: Any, x: ArrayLike, *, kind: str | None = None) -> NDArray[np.float64]:
    """Return the probability of at most x.

    Between quantiles it is linear; what is beyond the first and the last of them stands at these.

    Args:
        answer: One answer of any kind.
        x: Numbers of any shape, which is that of the result. Of paths, the last axis is the step.
        kind: As in `pdf`; a plain number is a point, and a list of numbers are samples, unless it says otherwise.

    Raises:
        ValueError: It is no such answer, or categories by name, which have no order.
        MissingExtra: numpy or scipy is not installed.
    """
    return _asked(answer, "cdf", x, kind)


def quantile(answer: Any, p: ArrayLike, *, kind: str | None = None) -> NDArray[np.float64]:
    """Return the smallest x whose `cdf` is at least p; for p = 0, where the distribution begins.

    Args:
        answer: One answer of any kind.
        p: Probabilities of any shape, which is that of the result. Of paths, it gets the steps as one more axis, the
            last. Outside 0 to 1, the result is NaN.
        kind: As in `cdf`.

    Raises:
        ValueError: It is no such answer, or categories by name, which have no order.
        MissingExtra: numpy or scipy is not installed.
    """
    return _asked(answer, "quantile", p, kind)


def sample(answer: Any, size: Size, rng: np.random.Generator, *, kind: str | None = None) -> NDArray[Any]:
    """Return independent draws.

    Args:
        answer: One answer of any kind.
        size: Their number or shape. Of paths, whole paths are drawn, and the steps are one more axis, the last.
        rng: Where chance comes from: `numpy.random.default_rng(seed)` gives the same draws every time.
        kind: As in `cdf`.

    Raises:
        ValueError: It is no such answer.
        MissingExtra: numpy or scipy is not installed.
    """
    return _distribution(answer, kind).sample(size, rng)


def _asked(answer: Any, question: str, x: ArrayLike, kind: str | None) -> NDArray[np.float64]:
    distribution = _distribution(answer, kind)
    import numpy as np

    from crunch_game.scoring.answers._numeric import Named

    points = np.asarray(x) if isinstance(distribution, Named) else np.asarray(x, dtype=np.float64)
    with np.errstate(all="ignore"):  # infinities are what they should be, in the tails
        found: NDArray[np.float64] = getattr(distribution, question)(points)
    return found[()]


def _distribution(answer: Any, kind: str | None) -> Distribution:
    try:
        from crunch_game.scoring.answers import _numeric as numeric
    except ImportError:
        raise MissingExtra("numpy or scipy", "scoring") from None
    kind = _kind(answer) if kind is None else kind
    if kind == "density":
        return numeric.Blend(answer)
    if kind == "quantiles":
        return numeric.Interpolated(check_quantiles(answer))
    if kind == "probability":
        probability = check_probability(answer)
        return numeric.Discrete([0.0, 1.0], [1.0 - probability, probability])
    if kind == "categories":
        if isinstance(check_sum(answer), dict):
            return numeric.Named(answer)
        return numeric.Discrete(range(len(answer)), answer)
    if kind not in _KINDS:
        raise ValueError(f"the kinds of answers are {', '.join(_KINDS)}, not {kind!r}")
    without_density = f"{'a point has' if kind == 'point' else f'{kind} have'} no density"
    numbers = _numbers(answer, {"point": 0, "samples": 1, "paths": 2}[kind], kind)
    if kind == "paths":
        return numeric.StepByStep(numbers, without_density)
    return numeric.Discrete(numbers.reshape(-1), without_density=without_density)


def _kind(answer: Any) -> str:
    """Tell the kind by the answer's looks."""
    if isinstance(answer, dict):
        return "quantiles" if "levels" in answer else "density" if "type" in answer else "categories"
    if isinstance(answer, str | bool):
        raise ValueError(f"there is no distribution in {brief(answer)}")
    if not hasattr(answer, "__len__"):
        return "point"
    if len(answer) and isinstance(answer[0], dict):
        raise ValueError("one answer can be asked at a time; of a list with one for each step, ask each")
    return "paths" if len(answer) and hasattr(answer[0], "__len__") else "samples"


def _numbers(answer: Any, dimensions: int, kind: str) -> NDArray[np.float64]:
    import numpy as np

    try:
        numbers = np.asarray(answer, dtype=np.float64)
    except (TypeError, ValueError):
        numbers = np.empty(0)
    if numbers.ndim != dimensions or numbers.size == 0 or not np.isfinite(numbers).all():
        shape = ("a finite number", "a list of finite numbers", "equally long lists of finite numbers")[dimensions]
        raise ValueError(f"{'a point' if kind == 'point' else kind} must be {shape}, not {brief(answer)}")
    return numbers
