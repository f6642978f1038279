"""Settings that are read from variables of the environment which a test sets."""

import pytest
from tannoy.shared.errors import StartError
from tannoy.shared.settings import load_settings

Environment = pytest.MonkeyPatch


def complaint() -> str:
    with pytest.raises(StartError) as caught:
        load_settings()
    return str(caught.value)
