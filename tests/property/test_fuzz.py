"""The fuzzer in short: everything that parses what strangers send raises its documented exceptions alone."""

import importlib.util

import pytest
from tannoy.shared.errors import BadRequest

from tests.fuzz.guided import run_guided
from tests.fuzz.mutations import INPUT_MAX_BYTES, Mutator
from tests.fuzz.run import run
from tests.fuzz.targets import Target, create_targets
from tests.support.clock import on_manual_time

INPUTS = 5000


@on_manual_time
async def test_no_input_raises_anything_but_a_documented_exception() -> None:
    report = run(create_targets(), inputs=INPUTS, seed=1, say=lambda line: None)

    assert report.inputs == INPUTS
    assert report.refused > INPUTS // 10
    assert report.shown == []


@on_manual_time
async def test_each_target_accepts_some_of_its_corpus() -> None:
    targets = create_targets()
    refused = [target.name for target in targets if not any(accepts(target, data) for data in target.corpus)]
    assert refused == []


def accepts(target: Target, data: bytes) -> bool:
    try:
        target.parse(data)
    except target.expected:
        return False
    return True


def test_a_crash_is_found_and_shown_with_its_input() -> None:
    def parse(data: bytes) -> None:
        if len(data) % 2:
            raise BadRequest("odd")
        if b"x" in data:
            raise KeyError(data)

    report = run([Target("broken", (b"x", b"xx"), parse, (BadRequest,))], inputs=50, seed=1, say=lambda line: None)

    assert report.crashes > 0
    assert report.shown[0].data == b"xx"
    assert "KeyError" in report.shown[0].error


@pytest.mark.parametrize("seed", [1, 2])
def test_the_inputs_of_a_seed_are_the_same_and_bounded(seed: int) -> None:
    corpus = (b"a" * 3000, b"b")
    first, second = (list(Mutator(corpus, seed).make_inputs(300)) for _ in range(2))
    assert first == second
    assert first[:2] == list(corpus)
    assert max(map(len, first)) <= INPUT_MAX_BYTES


def test_without_atheris_a_guided_run_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_none(name: str) -> None: ...

    monkeypatch.setattr(importlib.util, "find_spec", find_none)
    with pytest.raises(SystemExit, match="pip install atheris"):
        run_guided([], inputs=1, seed=1, say=lambda line: None)
