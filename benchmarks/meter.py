"""What is read off while something runs: seconds, processor time, memory. Standard library only: peers use it too."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Meter", "below", "pss"]


class Meter:
    """Times rounds one by one, and counts this process's processor time (all threads, user and system)."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.cpu = 0.0

    @contextmanager
    def round(self) -> Iterator[None]:
        """One round."""
        busy, began = time.process_time(), time.perf_counter()
        yield
        self.seconds.append(time.perf_counter() - began)
        self.cpu += time.process_time() - busy

    def latency(self) -> dict[str, float]:
        """Milliseconds of a round: the median, the tenth and the ninetieth percentile."""
        ordered = sorted(self.seconds)
        return {
            "round_ms": statistics.median(ordered) * 1e3,
            "round_p10_ms": ordered[len(ordered) // 10] * 1e3,
            "round_p90_ms": ordered[len(ordered) * 9 // 10] * 1e3,
        }

    def cpu_per_call(self, calls: int) -> dict[str, float]:
        """Microseconds of this process's processor time per call, of so many in each round."""
        return {"cpu_us": self.cpu / (len(self.seconds) * calls) * 1e6}


def below(pid: int) -> list[int]:
    """The processes that descend from one."""
    found = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += [int(child), *below(int(child))]
    except (FileNotFoundError, ProcessLookupError):
        pass  # it ended while it was looked at
    return found


def pss(pids: Iterable[int]) -> float:
    """MiB of proportional set size: what processes share is divided among those that share it."""
    return sum(map(_pss, pids)) / 1024


def _pss(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    except (FileNotFoundError, ProcessLookupError):
        pass  # it ended meanwhile
    return 0
