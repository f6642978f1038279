"""Kills of the archive's writer and of its database, in turn. `python -m tests.chaos archive` goes on for longer."""

from tests.chaos.archive.run import ArchivePlan, run_archive


async def test_every_acknowledged_message_stands_in_the_archive_once_after_kills_of_writer_and_database() -> None:
    report = await run_archive(ArchivePlan(messages=1500, kills=2))

    assert (report.acknowledged, report.writer_kills, report.database_kills) == (1500, 1, 1)
    assert (report.missing, report.doubled) == ((), ())
