"""What all benches of one run share: where the data lie, how much of it, which cores, how often."""

from pathlib import Path

from bench.measure import Cores
from bench.serving import fill, set_up


class Run:
    """
    folder  for data; each bench makes its own directories there
    stored  events in the log, less than a day old, where a bench wants many
    rounds  how often each thing is measured
    cores   see Cores
    """

    def __init__(self, folder: Path, stored: int, rounds: int) -> None:
        self.folder, self.stored, self.rounds = folder, stored, rounds
        self.cores = Cores()
        self.source = 0
        self._filled: Path | None = None
        self._number = 0

    def fresh(self) -> Path:
        """An empty data directory with a source."""
        self._number += 1
        data = self.folder / f"data-{self._number}"
        self.source = set_up(data)
        return data

    def filled(self) -> Path:
        """
        The one data directory with `stored` events, made when it is first asked for. Benches that use it add to it,
        one after the other, and leave it without a destination.
        """
        if self._filled is None:
            self._filled = self.fresh()
            fill(self._filled, self.source, self.stored, self.cores.all)
        return self._filled

    @property
    def shared(self) -> str:
        """What the number of cores means, for whoever reads the figures."""
        if self.cores.count == 1:
            return "One core for everything: generator, receiver and server take it from each other."
        if self.cores.count == 2:
            return "Two cores: the collector has one; generator, receiver and delivery share the other."
        return "The collector has a core of its own; generator, receiver and delivery are on the others."
