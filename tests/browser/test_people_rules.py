"""How the page follows docs/protocol.md in presence: versions, snapshots, counts; the test plays the node."""

from playwright.async_api import expect

from tests.browser.scripted import Frame, ScriptedNode, open_on
from tests.browser.tabs import Tabs
from tests.support.cluster import Cluster

LONG_ENOUGH_TO_ASK = "00:10"


def roll(version: int, *names: str, count: int | None = None) -> Frame:
    """A snapshot; without names, one of a room that has too many."""
    users = [{"user_id": name.lower(), "username": name, "sessions": 1} for name in names]
    fields: Frame = {"users_count": len(names) if count is None else count, "version": version}
    return {**fields, "users": users} if names else fields


def joined(name: str, *, count: int, version: int) -> Frame:
    return _change("user_joined", name, count, version)


def left(name: str, *, count: int, version: int) -> Frame:
    return _change("user_left", name, count, version)


def _change(kind: str, name: str, count: int, version: int) -> Frame:
    who = {"user_id": name.lower(), "username": name}
    return {"type": kind, "room": "lobby", **who, "users_count": count, "version": version}


def counted(count: int, *, version: int) -> Frame:
    return {"type": "presence", "room": "lobby", "users_count": count, "version": version}


async def test_changes_without_a_list_are_applied(cluster: Cluster, tabs: Tabs) -> None:
    node = ScriptedNode(oks={"join": roll(7, "Ada", "Bob")})
    tab = await open_on(node, cluster, tabs, clock=True)
    node.send(**joined("Cyd", count=3, version=8))
    node.send(**left("Bob", count=2, version=9))
    await tab.sees("Ada", "Cyd")
    await tab.page.clock.run_for(LONG_ENOUGH_TO_ASK)
    assert node.received("presence") == []


async def test_changes_that_a_snapshot_holds_are_not_applied_again(cluster: Cluster, tabs: Tabs) -> None:
    node = ScriptedNode(oks={"join": roll(7, "Ada", "Bob")})
    tab = await open_on(node, cluster, tabs)
    node.send(**left("Bob", count=1, version=7))
    node.send(**joined("Cyd", count=3, version=8))
    await tab.sees("Ada", "Bob", "Cyd")
    await expect(tab.part("coming")).to_have_text("Cyd joined")


async def test_a_skipped_version_requests_the_presence(cluster: Cluster, tabs: Tabs) -> None:
    node = ScriptedNode(oks={"join": roll(7, "Ada", "Bob"), "presence": roll(9, "Ada", "Cyd", "Dan")})
    tab = await open_on(node, cluster, tabs)
    node.send(**joined("Cyd", count=3, version=9))
    await tab.sees("Ada", "Cyd", "Dan")
    assert [command["room"] for command in node.received("presence")] == ["lobby"]


async def test_one_presence_request_is_sent_at_a_time(cluster: Cluster, tabs: Tabs) -> None:
    node = ScriptedNode(oks={"join": roll(7, "Ada")}, unanswered={"presence"})
    tab = await open_on(node, cluster, tabs, clock=True)
    node.send(**joined("Cyd", count=3, version=9))
    node.send(**joined("Eve", count=5, version=11))
    await tab.sees("Ada", "Cyd", "Eve")
    await tab.page.clock.run_for(LONG_ENOUGH_TO_ASK)
    assert len(node.received("presence")) == 1


async def test_changes_since_the_request_are_applied_on_top_of_its_answer(cluster: Cluster, tabs: Tabs) -> None:
    node = ScriptedNode(oks={"join": roll(7, "Ada")}, unanswered={"presence"})
    tab = await open_on(node, cluster, tabs)
    node.send(**joined("Cyd", count=3, version=9))
    await node.wait_for("presence")
    node.send(**joined("Dan", count=4, version=10))
    node.oks["presence"] = roll(9, "Ada", "Bob", "Cyd")
    node.answer(node.received("presence")[0])
    await tab.sees("Ada", "Bob", "Cyd", "Dan")
    await expect(tab.part("people-count")).to_have_text("4 people")


async def test_an_outdated_answer_is_followed_by_another_request(cluster: Cluster, tabs: Tabs) -> None:
    node = ScriptedNode(oks={"join": roll(7, "Ada")}, unanswered={"presence"})
    tab = await open_on(node, cluster, tabs)
    node.send(**joined("Cyd", count=3, version=9))
    await node.wait_for("presence")
    node.send(**joined("Eve", count=5, version=11))
    node.unanswered.clear()
    node.oks["presence"] = roll(9, "Ada", "Bob", "Cyd")
    node.answer(node.received("presence")[0])
    node.oks["presence"] = roll(11, "Ada", "Bob", "Cyd", "Dan", "Eve")
    await tab.sees("Ada", "Bob", "Cyd", "Dan", "Eve")
    assert len(node.received("presence")) == 2


async def test_a_new_connection_begins_with_its_own_snapshot(cluster: Cluster, tabs: Tabs) -> None:
    node = ScriptedNode(oks={"join": roll(70, "Ada", "Bob")})
    tab = await open_on(node, cluster, tabs, clock=True)
    await tab.sees("Ada", "Bob")
    node.oks["join"] = roll(3, "Ada", "Cyd")
    await node.end(4004, "session state lost", retry_after=0)
    await tab.sees("Ada", "Cyd")
    node.send(**joined("Dan", count=3, version=4))
    await tab.sees("Ada", "Cyd", "Dan")
    await tab.page.clock.run_for(LONG_ENOUGH_TO_ASK)
    assert node.received("presence") == []


async def test_a_count_with_a_gap_before_it_in_a_small_room_makes_the_page_ask(cluster: Cluster, tabs: Tabs) -> None:
    node = ScriptedNode(oks={"join": roll(7, "Ada", "Bob"), "presence": roll(20, "Ada", "Cyd")})
    tab = await open_on(node, cluster, tabs, clock=True)
    await tab.sees("Ada", "Bob")
    node.send(**counted(2, version=20))
    await expect(tab.part("people-count")).to_have_text("2 people")
    await tab.page.clock.run_for(LONG_ENOUGH_TO_ASK)
    await tab.sees("Ada", "Cyd")
    assert len(node.received("presence")) == 1


async def test_a_room_that_is_too_large_to_list_is_a_count(cluster: Cluster, tabs: Tabs) -> None:
    node = ScriptedNode(oks={"join": roll(7, count=1234)})
    tab = await open_on(node, cluster, tabs, clock=True)
    await expect(tab.part("people-count")).to_have_text("1,234 people")
    await tab.sees("Ada")
    await expect(tab.part("people-more")).to_have_text("and 1,233 more")
    node.send(**counted(1500, version=20))
    await expect(tab.part("people-count")).to_have_text("1,500 people")
    await expect(tab.part("people-more")).to_have_text("and 1,499 more")
    await expect(tab.part("coming")).to_have_count(0)
    await tab.page.clock.run_for(LONG_ENOUGH_TO_ASK)
    assert node.received("presence") == []


async def test_at_most_fifty_are_listed(cluster: Cluster, tabs: Tabs) -> None:
    crowd = ["Ada", *(f"Guest {number}" for number in range(1, 80))]
    node = ScriptedNode(oks={"join": roll(7, *crowd)})
    tab = await open_on(node, cluster, tabs)
    await expect(tab.part("person")).to_have_count(50)
    await expect(tab.part("person").first).to_contain_text("(you)")
    await expect(tab.part("people-more")).to_have_text("and 30 more")


async def test_the_focus_stays_on_a_person_while_others_come_and_go(cluster: Cluster, tabs: Tabs) -> None:
    node = ScriptedNode(oks={"join": roll(7, "Ada", "Bob", "Cyd")})
    tab = await open_on(node, cluster, tabs)
    await tab.person("Cyd").get_by_role("button").focus()
    node.send(**left("Bob", count=2, version=8))
    node.send(**joined("Abe", count=3, version=9))
    await tab.sees("Ada", "Abe", "Cyd")
    await expect(tab.person("Cyd").get_by_role("button")).to_be_focused()


async def test_without_presence_there_is_no_list(cluster: Cluster, tabs: Tabs) -> None:
    tab = await open_on(ScriptedNode(), cluster, tabs)
    await expect(tab.part("people-toggle")).to_be_hidden()
    await expect(tab.part("people")).to_be_hidden()
