"""What one abuser costs the others, in numbers."""

from collections import Counter

from tests.attack.comparison import Comparison, merge
from tests.attack.window import Window


def test_the_ratio_is_of_the_p99_of_all_windows_together() -> None:
    alone = [Window(pongs=[1.0] * 98), Window(pongs=[2.0, 4.0])]
    abused = [Window(pongs=[2.0] * 98), Window(pongs=[3.0, 5.0])]
    assert Comparison("messages", alone, abused).ratio == 5.0 / 4.0


def test_what_the_bystander_lost_is_what_it_lost_beside_the_abuser() -> None:
    alone = Window(lost=["close 4003"])
    abused = Window(lost=["close 1013"], refused=["unavailable"], unheard=["/ws/chat/a 7"], unanswered=2)
    lost = ["close 1013", "unavailable", "/ws/chat/a 7", "unanswered", "unanswered"]
    assert Comparison("bytes", [alone], [abused]).lost == lost


def test_all_kinds_together_have_the_windows_of_each() -> None:
    one = Comparison("a", [Window(pongs=[1.0])], [Window(pongs=[2.0])], Counter(ok=1))
    other = Comparison("b", [Window(pongs=[3.0])], [Window(pongs=[6.0])], Counter(ok=2))
    total = merge([one, other])
    assert (total.ratio, total.got["ok"], len(total.alone), len(total.abused)) == (2.0, 3, 2, 2)
