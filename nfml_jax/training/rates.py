"""How fast a run is: what a clock says of the steps since the last line of the log."""


class Rates:
    """Examples and operations a second, and the share of the time data was awaited.

    Pauses to validate and to save don't count. `flops` are those of a step, 0 if they
    are unknown.
    """

    def __init__(self, batch_size: int, flops: float = 0.0):
        self._batch_size, self._flops = batch_size, flops
        self._steps, self._seconds, self._waited = 0, 0.0, 0.0

    def add(self, steps: int, seconds: float, waited: float = 0.0) -> None:
        """So many steps took so long, of which their data was awaited."""
        self._steps += steps
        self._seconds += seconds
        self._waited += waited

    def since(self) -> dict[str, float]:
        """Rates by name since the last call; starts anew."""
        seconds = max(self._seconds, 1e-9)
        rates = {
            "pace/examples_per_second": self._steps * self._batch_size / seconds,
            "pace/input_wait": min(self._waited / seconds, 1.0),
        }
        if self._flops:
            rates["pace/flops_per_second"] = self._steps * self._flops / seconds
        self._steps, self._seconds, self._waited = 0, 0.0, 0.0
        return rates
