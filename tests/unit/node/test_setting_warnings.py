"""Which settings an operator is told about at start."""

import pytest
from tannoy.node.setting_warnings import find_warnings
from tannoy.shared.settings import Settings


def test_a_node_for_this_machine_alone_needs_no_warning() -> None:
    assert find_warnings(Settings(), {"TANNOY_PORT": "8000"}) == []


def test_a_node_that_listens_on_other_addresses_without_a_key_is_warned_of_both() -> None:
    identity, key = find_warnings(Settings(host="0.0.0.0"), {})

    assert "any client that reaches 0.0.0.0 can choose its identity" in identity
    assert "no TANNOY_API_KEY" in key


def test_a_node_with_a_key_is_not_warned_of_it() -> None:
    assert len(find_warnings(Settings(host="0.0.0.0", api_key="k"), {})) == 1


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"TANNOY_PROT": "1"}, "unknown settings, perhaps misspelt: TANNOY_PROT"),
        ({"TANNOY_JWT_SECRET": "x"}, "these settings have no effect in this version yet: TANNOY_JWT_SECRET"),
        (
            {"TANNOY_PORT": "tcp://10.0.0.1:8000", "TANNOY_SERVICE_HOST": "10.0.0.1"},
            "variables that Kubernetes sets for a service are left out: TANNOY_PORT, TANNOY_SERVICE_HOST",
        ),
    ],
)
def test_variables_that_have_no_effect_are_named_in_one_sentence(variables: dict[str, str], sentence: str) -> None:
    assert find_warnings(Settings(), variables) == [sentence]
