"""When a node is overloaded: by its memory at once, by CPU and lag if they last; and back only well below."""

from typing import Any

import pytest
import structlog
from tannoy.node.admission.refusals import Reason
from tannoy.node.admission.resources import BACK_SAMPLES, CPU_SAMPLES, LAG_SAMPLES, Resources
from tannoy.node.lifecycle.sampler import ResourceSample

IDLE = {"memory_mb": 50.0, "cpu_percent": 1.0, "loop_lag_ms": 0.1, "files_percent": 5.0}
KINDS = [
    ("memory_max_mb", "memory_mb", 500.0, 1, Reason.MEMORY),
    ("cpu_max_percent", "cpu_percent", 90.0, CPU_SAMPLES, Reason.CPU),
    ("loop_lag_max_ms", "loop_lag_ms", 1000.0, LAG_SAMPLES, Reason.LOOP_LAG),
]
each_kind = pytest.mark.parametrize(("setting", "measure", "maximum", "samples", "reason"), KINDS)


def _observe(resources: Resources, times: int = 1, **values: Any) -> None:
    for _ in range(times):
        sample: dict[str, Any] = {**IDLE, **values}
        resources.observe(ResourceSample(**sample))


def _reason(resources: Resources) -> Reason | None:
    return None if resources.refusal is None else resources.refusal.reason


@each_kind
def test_a_node_is_overloaded_after_some_samples_in_a_row_beyond_a_maximum(
    setting: str, measure: str, maximum: float, samples: int, reason: Reason
) -> None:
    resources = Resources(**{setting: maximum})

    _observe(resources, samples - 1, **{measure: maximum + 1})
    assert _reason(resources) is None
    _observe(resources, 1, **{measure: maximum + 1})

    assert _reason(resources) is reason


@each_kind
def test_a_node_at_its_maximum_is_not_overloaded(
    setting: str, measure: str, maximum: float, samples: int, reason: Reason
) -> None:
    resources = Resources(**{setting: maximum})

    _observe(resources, 2 * samples, **{measure: maximum})

    assert _reason(resources) is None


@pytest.mark.parametrize(("setting", "measure", "maximum", "samples", "reason"), KINDS[1:])
def test_one_sample_below_the_maximum_begins_the_count_anew(
    setting: str, measure: str, maximum: float, samples: int, reason: Reason
) -> None:
    resources = Resources(**{setting: maximum})

    for _ in range(3):
        _observe(resources, samples - 1, **{measure: maximum + 1})
        _observe(resources)

    assert _reason(resources) is None


@each_kind
def test_a_node_is_back_after_some_samples_in_a_row_below_nine_tenths_of_the_maximum(
    setting: str, measure: str, maximum: float, samples: int, reason: Reason
) -> None:
    resources = Resources(**{setting: maximum})
    _observe(resources, samples, **{measure: maximum + 1})

    _observe(resources, BACK_SAMPLES, **{measure: maximum * 0.95})
    assert _reason(resources) is reason
    _observe(resources, BACK_SAMPLES - 1, **{measure: maximum * 0.85})
    assert _reason(resources) is reason
    _observe(resources, 1, **{measure: maximum * 0.85})

    assert _reason(resources) is None


@each_kind
def test_a_maximum_of_zero_is_none(setting: str, measure: str, maximum: float, samples: int, reason: Reason) -> None:
    resources = Resources(**{setting: 0})

    _observe(resources, 2 * samples, **{measure: 1e9})

    assert _reason(resources) is None


def test_a_node_whose_files_are_used_up_is_overloaded_at_once_and_until_a_tenth_of_them_is_free() -> None:
    resources = Resources()

    _observe(resources, files_percent=100)
    assert _reason(resources) is None
    _observe(resources, files_percent=100.1)
    assert _reason(resources) is Reason.FILES
    _observe(resources, 2 * BACK_SAMPLES, files_percent=91)
    assert _reason(resources) is Reason.FILES
    _observe(resources, BACK_SAMPLES, files_percent=89)
    assert _reason(resources) is None


def test_a_node_beyond_two_maxima_is_back_when_it_is_below_both() -> None:
    resources = Resources(memory_max_mb=500, loop_lag_max_ms=100)
    _observe(resources, LAG_SAMPLES, memory_mb=600, loop_lag_ms=200)

    _observe(resources, BACK_SAMPLES, loop_lag_ms=200)
    assert _reason(resources) is Reason.LOOP_LAG
    _observe(resources, BACK_SAMPLES)

    assert _reason(resources) is None
    assert resources.statistics().overloads == 1


def test_memory_that_is_not_measured_any_more_does_not_keep_newcomers_out() -> None:
    resources = Resources(memory_max_mb=500)
    _observe(resources, memory_mb=600)

    _observe(resources, BACK_SAMPLES, memory_mb=None)

    assert _reason(resources) is None


def test_the_begin_and_the_end_of_an_overload_are_logged_once_each() -> None:
    resources = Resources(memory_max_mb=500)
    with structlog.testing.capture_logs() as lines:
        _observe(resources, 3, memory_mb=600.04)
        _observe(resources, 2 * BACK_SAMPLES, memory_mb=400)

    values = {"setting": "TANNOY_MEMORY_MAX_MB", "maximum": 500}
    assert lines == [
        {
            "event": "the node is overloaded: it is not ready, and refuses newcomers",
            "log_level": "warning",
            "measured": 600.0,
            **values,
        },
        {"event": "the node is not overloaded any more", "log_level": "info", "measured": 400, **values},
    ]


def test_the_statistics_have_the_last_sample_its_maxima_and_what_is_exceeded() -> None:
    resources = Resources(memory_max_mb=500, cpu_max_percent=90, loop_lag_max_ms=1000)
    assert resources.statistics().cpu_percent is None
    _observe(resources, memory_mb=600.04)

    found = resources.statistics()

    assert (found.memory_mb, found.cpu_percent, found.loop_lag_ms) == (600.0, 1.0, 0.1)
    assert (found.memory_max_mb, found.cpu_max_percent, found.loop_lag_max_ms) == (500, 90, 1000)
    assert found.files_percent == 5
    assert (found.exceeded, found.overloads) == (["memory"], 1)
