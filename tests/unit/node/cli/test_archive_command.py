import pytest
from tannoy.node.cli.archive_command import archive, parse_age


@pytest.mark.parametrize(("text", "seconds"), [("90d", 7_776_000), ("12h", 43_200), ("30m", 1800), ("2w", 1_209_600)])
def test_an_age_is_a_number_and_a_unit(text: str, seconds: int) -> None:
    assert parse_age(text) == seconds


@pytest.mark.parametrize("text", ["", "90", "d", "0d", "-1d", "1.5d", "90 d", "9999999d", "90D"])
def test_anything_else_is_refused_with_what_is_allowed(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_age(text)

    assert "is no age: a number and m, h, d or w are allowed, as in 90d" in capsys.readouterr().err


def test_pruning_and_asking_for_the_status_are_two_calls(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        archive(prune="90d", status=True)

    assert "give one of them" in capsys.readouterr().err
