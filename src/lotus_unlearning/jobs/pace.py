"""How long the rest of many jobs takes, judged by those that are done."""

import time


class Pace:
    """Jobs a second since it was made; those that were there before do not count."""

    def __init__(self) -> None:
        self._start, self._done = time.perf_counter(), 0

    def rest(self, left: int, *, done: int = 1) -> float:
        """Told that some more are done, says how many seconds the rest takes.

        Args:
            left: How many jobs are left.
            done: How many were done since the last time.
        """
        self._done += done
        return left * (time.perf_counter() - self._start) / self._done
