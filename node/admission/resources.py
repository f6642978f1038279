"""Whether a node has the resources for more clients: decided from samples, with hysteresis.

Memory and open files are beyond their maximum with one sample: they do not come and go. CPU and lag are with several in
a row: one slow second is no reason to leave a load balancer. All are back with BACK_SAMPLES in a row below BACK_PERCENT
of the maximum.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from ..lifecycle.sampler import ResourceSample
from .handshake import Rejected, unavailable
from .refusals import Reason

MEMORY_SAMPLES, FILES_SAMPLES, CPU_SAMPLES, LAG_SAMPLES = 1, 1, 5, 3
"""In a row beyond the maximum, from which on the node is overloaded."""
BACK_SAMPLES = 5
LAGS_KEPT = 60
"""Samples of the lag of which the worst is told: a minute."""
BACK_PERCENT = 90
RETRY_AFTER = 5
"""Seconds until a refused client should come back: it takes as long until the node is not overloaded any more."""

_log = structlog.get_logger("tannoy.admission")


@dataclass(slots=True)
class Threshold:
    """The maximum of one resource, 0 for none, and whether the node is beyond it."""

    reason: Reason
    setting: str
    """What an operator may raise."""
    maximum: float
    samples: int
    """In a row beyond the maximum until it counts."""
    is_exceeded: bool = False
    _in_a_row: int = 0
    """Samples that speak for a change."""
    refusal: Rejected = field(init=False)

    def __post_init__(self) -> None:
        message = f"this node is overloaded, by {self.setting}: another one, or this one later, may take you"
        self.refusal = unavailable(message, self.reason, RETRY_AFTER)

    def observe(self, value: float | None) -> bool:
        """Whether this sample changed `is_exceeded`. None, which is not measured, is beyond no maximum."""
        if not self.maximum:
            return False
        seen = 0.0 if value is None else value
        if self.is_exceeded:
            is_for_change, needed = seen < self.maximum * BACK_PERCENT / 100, BACK_SAMPLES
        else:
            is_for_change, needed = seen > self.maximum, self.samples
        self._in_a_row = self._in_a_row + 1 if is_for_change else 0
        if self._in_a_row < needed:
            return False
        self.is_exceeded, self._in_a_row = not self.is_exceeded, 0
        return True


@dataclass(frozen=True, slots=True)
class ResourceStatistics:
    """Of the last sample; None: there was none, or it is not measured. A maximum of 0 is none."""

    memory_mb: float | None
    memory_max_mb: float
    cpu_percent: float | None
    cpu_max_percent: float
    loop_lag_ms: float | None
    loop_lag_max_ms: float
    loop_lag_worst_ms: float
    """In the last minute."""
    files_percent: float | None
    """Of those that clients may have."""
    exceeded: Sequence[str]
    """The resources beyond their maximum at present."""
    overloads: int
    """How often the node was overloaded, so far."""


class Resources:
    """Whether the node is overloaded. Maxima are in megabytes, percent of a core, and milliseconds; 0: none."""

    def __init__(self, *, memory_max_mb: float = 0, cpu_max_percent: float = 0, loop_lag_max_ms: float = 0) -> None:
        self.refusal: Rejected | None = None
        """How a newcomer is refused; None: the node is not overloaded."""
        self._memory = Threshold(Reason.MEMORY, "TANNOY_MEMORY_MAX_MB", memory_max_mb, MEMORY_SAMPLES)
        self._cpu = Threshold(Reason.CPU, "TANNOY_CPU_MAX_PERCENT", cpu_max_percent, CPU_SAMPLES)
        self._lag = Threshold(Reason.LOOP_LAG, "TANNOY_LOOP_LAG_MAX_MS", loop_lag_max_ms, LAG_SAMPLES)
        self._files = Threshold(Reason.FILES, "the limit of open files (RLIMIT_NOFILE)", 100, FILES_SAMPLES)
        self._all = (self._memory, self._cpu, self._lag, self._files)
        self._last: ResourceSample | None = None
        self._overloads = 0
        self._lags: deque[float] = deque((0.0,), LAGS_KEPT)

    @property
    def files_percent(self) -> float:
        """Of the files that clients may have, as of the last sample."""
        return 0.0 if self._last is None else self._last.files_percent

    def observe(self, sample: ResourceSample) -> None:
        self._last = sample
        self._lags.append(sample.loop_lag_ms)
        values = (sample.memory_mb, sample.cpu_percent, sample.loop_lag_ms, sample.files_percent)
        for threshold, value in zip(self._all, values, strict=True):
            if threshold.observe(value):
                self._record_change(threshold, value)

    def _record_change(self, changed: Threshold, value: float | None) -> None:
        was_overloaded = self.refusal is not None
        exceeded = [each for each in self._all if each.is_exceeded]
        self.refusal = exceeded[0].refusal if exceeded else None
        measured = None if value is None else round(value, 1)
        values = {"setting": changed.setting, "maximum": round(changed.maximum, 1), "measured": measured}
        if changed.is_exceeded:
            self._overloads += not was_overloaded
            _log.warning("the node is overloaded: it is not ready, and refuses newcomers", **values)
        elif exceeded:
            _log.info("the node is below one maximum again, and still overloaded", **values)
        else:
            _log.info("the node is not overloaded any more", **values)

    def statistics(self) -> ResourceStatistics:
        last = self._last
        return ResourceStatistics(
            memory_mb=None if last is None or last.memory_mb is None else round(last.memory_mb, 1),
            memory_max_mb=round(self._memory.maximum, 1),
            cpu_percent=None if last is None else round(last.cpu_percent, 1),
            cpu_max_percent=self._cpu.maximum,
            loop_lag_ms=None if last is None else round(last.loop_lag_ms, 1),
            loop_lag_max_ms=self._lag.maximum,
            loop_lag_worst_ms=round(max(self._lags), 1),
            files_percent=None if last is None else round(last.files_percent, 1),
            exceeded=[each.reason.value for each in self._all if each.is_exceeded],
            overloads=self._overloads,
        )
