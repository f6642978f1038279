"""Where things are: the tests mirror the source, so that the test of a module is found by its name."""

import re
from pathlib import Path

PROJECT = Path(__file__).parent.parent.parent
LAYERS = ("client", "embedding", "fanout", "node", "sdk", "shared")

COVERED_BY: dict[str, str] = {
    "node/connections/sessionless.py": "tests/unit/node/connections/test_unidentified.py",
    "node/admission/target.py": "tests/unit/node/admission/test_handshake.py",
    "shared/protocol/commands.py": "tests/unit/shared/protocol/test_command_parser.py",
    "client/agent.py": "tests/cluster/test_python_client.py",
    "client/calls.py": "tests/cluster/test_python_client_faults.py",
    "client/channel.py": "tests/cluster/test_python_client.py",
    "client/client.py": "tests/cluster/test_python_client.py",
    "client/errors.py": "tests/unit/shared/test_errors.py",
    "client/frame_exchange.py": "tests/cluster/test_python_client_slow.py",
    "client/reconnector.py": "tests/cluster/test_python_client_faults.py",
    "client/room.py": "tests/cluster/test_python_client.py",
    "client/subscription.py": "tests/cluster/test_watch.py",
    "client/sync.py": "tests/cluster/test_python_client_sync.py",
    "client/websocket.py": "tests/cluster/test_python_client_slow.py",
    "fanout/archive/calls.py": "tests/scripts/test_archive.py",
    "fanout/archive/database.py": "tests/integration/test_archive_store.py",
    "fanout/archive/store.py": "tests/integration/test_archive_store.py",
    "fanout/archive/tables.py": "tests/integration/test_archive_store.py",
    "fanout/archive/writer.py": "tests/integration/test_archive_writer.py",
    "embedding/embedded_node.py": "tests/integration/hooks/test_readiness.py",
    "fanout/backend.py": "tests/cluster/test_redis_cluster.py",
    "fanout/heartbeats.py": "tests/unit/fanout/test_membership_beats.py",
    "fanout/listening.py": "tests/cluster/test_holes.py",
    "fanout/probe.py": "tests/integration/test_refusals.py",
    "fanout/publishing.py": "tests/unit/node/operations/test_publishing.py",
    "fanout/server_life.py": "tests/unit/fanout/test_membership_data_lost.py",
    "fanout/cluster/master_pipeline.py": "tests/unit/fanout/cluster/test_pipeline.py",
    "fanout/cluster/per_master.py": "tests/unit/fanout/cluster/test_link.py",
    "fanout/cluster/routing.py": "tests/unit/fanout/cluster/test_pipeline.py",
    "fanout/control/requests.py": "tests/unit/fanout/control/test_control.py",
    "fanout/history/publisher.py": "tests/scripts/test_publish_once.py",
    "fanout/history/reader.py": "tests/scripts/test_history_read.py",
    "fanout/leases/lease.py": "tests/unit/fanout/leases/test_manager.py",
    "fanout/leases/limits.py": "tests/unit/fanout/leases/test_manager_lost.py",
    "fanout/leases/acquirer.py": "tests/unit/fanout/leases/test_manager.py",
    "fanout/leases/registry.py": "tests/unit/fanout/leases/test_manager.py",
    "fanout/leases/releases.py": "tests/unit/fanout/leases/test_manager_lost.py",
    "fanout/leases/restating.py": "tests/unit/fanout/leases/test_manager_repair.py",
    "fanout/pubsub/any_link.py": "tests/unit/fanout/pubsub/test_link.py",
    "fanout/pubsub/verbs.py": "tests/unit/fanout/pubsub/test_link_state_sharded.py",
    "fanout/pubsub/barriers.py": "tests/unit/fanout/pubsub/test_link.py",
    "fanout/presence/calls.py": "tests/scripts/test_presence.py",
    "fanout/presence/sweeper.py": "tests/scripts/test_presence_process.py",
    "node/metrics/of_webhooks.py": "tests/unit/node/metrics/test_exposition.py",
    "fanout/backlog.py": "tests/scripts/test_hooks.py",
    "fanout/webhooks/calls.py": "tests/scripts/test_hooks.py",
    "fanout/webhooks/delivery.py": "tests/integration/test_hook_delivery.py",
    "fanout/webhooks/session_events.py": "tests/integration/test_hook_delivery.py",
    "fanout/webhooks/statistics.py": "tests/cluster/test_webhooks.py",
    "node/admission/identity_question.py": "tests/integration/hooks/test_questions.py",
    "node/web/dead_letters.py": "tests/cluster/test_webhooks.py",
    "node/webhooks.py": "tests/cluster/test_webhooks.py",
    "fanout/revocations/calls.py": "tests/scripts/test_revocations.py",
    "fanout/streams/errors.py": "tests/scripts/test_stream_write.py",
    "fanout/streams/producing.py": "tests/scripts/test_stream_write.py",
    "fanout/streams/reading.py": "tests/scripts/test_stream_write.py",
    "fanout/streams/stored.py": "tests/scripts/test_stream_end.py",
    "fanout/streams/sweeper.py": "tests/scripts/test_stream_end.py",
    "node/delivery/owed_text.py": "tests/unit/node/delivery/test_stream_delivery.py",
    "node/delivery/stream_view.py": "tests/unit/node/delivery/test_stream_table.py",
    "node/operations/streams.py": "tests/integration/test_streams.py",
    "node/web/stream_bodies.py": "tests/integration/test_streams.py",
    "node/web/streams.py": "tests/integration/test_streams.py",
    "shared/protocol/channel_field.py": "tests/unit/shared/protocol/test_frames.py",
    "shared/protocol/stream_frames.py": "tests/unit/shared/protocol/test_frames.py",
    "shared/streams.py": "tests/unit/fanout/pubsub/test_stream_events.py",
    "fanout/redis_service.py": "tests/cluster/test_archive.py",
    "fanout/redis/server_url.py": "tests/unit/fanout/redis/test_address.py",
    "fanout/redis/tls.py": "tests/integration/test_redis_tls.py",
    "fanout/redis/url_parameters.py": "tests/unit/fanout/redis/test_address.py",
    "fanout/redis/query.py": "tests/unit/fanout/redis/test_sentinel.py",
    "fanout/redis/reconnect.py": "tests/unit/fanout/redis/test_pipeline.py",
    "fanout/timeouts.py": "tests/unit/fanout/redis/test_pipeline.py",
    "fanout/startup.py": "tests/integration/test_redis_access.py",
    "node/archive.py": "tests/cluster/test_archive.py",
    "node/external.py": "tests/cluster/test_archive.py",
    "node/auth/signing.py": "tests/unit/node/auth/test_verifier.py",
    "node/auth/token_problems.py": "tests/unit/node/auth/test_verifier.py",
    "node/cli/exits.py": "tests/cluster/test_command_line.py",
    "node/cli/message_commands.py": "tests/cluster/test_message_commands.py",
    "fanout/examination.py": "tests/cluster/test_doctor.py",
    "node/check.py": "tests/cluster/test_doctor.py",
    "client/load_test.py": "tests/cluster/test_bench_command.py",
    "node/cli/bench_command.py": "tests/cluster/test_bench_command.py",
    "node/cli/check_commands.py": "tests/cluster/test_doctor.py",
    "node/doctor/doctor.py": "tests/cluster/test_doctor.py",
    "node/doctor/finding.py": "tests/cluster/test_doctor.py",
    "node/operations/description.py": "tests/integration/test_http.py",
    "node/cli/operator_commands.py": "tests/cluster/test_operator_commands.py",
    "node/cli/tables.py": "tests/cluster/test_operator_commands.py",
    "client/streams.py": "tests/cluster/test_python_client_streams.py",
    "client/stream_upload.py": "tests/cluster/test_stream_command.py",
    "node/cli/stream_command.py": "tests/cluster/test_stream_command.py",
    "node/cli/run_commands.py": "tests/cluster/test_up.py",
    "node/composition.py": "tests/unit/node/test_node.py",
    "node/connections/command_owner.py": "tests/unit/node/connections/test_command_loop.py",
    "node/connections/connection_task.py": "tests/unit/node/connections/test_join.py",
    "node/connections/hooked_clients.py": "tests/integration/hooks/test_authenticate.py",
    "node/connections/hooked_commands.py": "tests/integration/hooks/test_messages.py",
    "node/connections/hooked_connection.py": "tests/integration/hooks/test_connections.py",
    "node/connections/context.py": "tests/unit/node/connections/test_connection.py",
    "node/hooks/errors.py": "tests/integration/hooks/test_authenticate.py",
    "node/hooks/session_hooks.py": "tests/integration/hooks/test_messages.py",
    "node/lifecycle/files.py": "tests/cluster/test_open_files.py",
    "node/lifecycle/log_text.py": "tests/unit/node/lifecycle/test_logs.py",
    "node/lifecycle/signals.py": "tests/cluster/test_drain.py",
    "node/operations/history.py": "tests/integration/test_history.py",
    "node/protocols/effects.py": "tests/unit/node/protocols/test_session.py",
    "node/server/embedded_protocol.py": "tests/integration/test_embedding.py",
    "node/server/archive_process.py": "tests/cluster/test_archive.py",
    "node/server/http_protocol.py": "tests/cluster/test_http_protocol.py",
    "node/server/paced_protocol.py": "tests/cluster/test_handshake_storms.py",
    "node/server/request_heads.py": "tests/cluster/test_http_heads.py",
    "node/server/listeners.py": "tests/cluster/test_command_line.py",
    "node/server/supervised_archive.py": "tests/cluster/test_up.py",
    "node/server/supervised_node.py": "tests/cluster/test_up.py",
    "node/server/supervisor.py": "tests/cluster/test_up.py",
    "node/server/uvicorn_server.py": "tests/cluster/test_drain.py",
    "node/transports/base.py": "tests/integration/test_rooms.py",
    "node/transports/handshake_turns.py": "tests/integration/test_returning_clients.py",
    "node/transports/handover.py": "tests/integration/test_embedding.py",
    "node/metrics/family.py": "tests/unit/node/metrics/test_exposition.py",
    "node/metrics/of_messages.py": "tests/unit/node/metrics/test_exposition.py",
    "node/metrics/of_process.py": "tests/unit/node/metrics/test_exposition.py",
    "node/metrics/of_redis.py": "tests/cluster/test_metrics.py",
    "node/metrics/of_sessions.py": "tests/unit/node/metrics/test_exposition.py",
    "node/web/metrics.py": "tests/cluster/test_metrics.py",
    "node/operations/nodes.py": "tests/cluster/test_drain.py",
    "node/web/answers.py": "tests/unit/node/web/test_api_documents.py",
    "node/web/api.py": "tests/integration/test_http.py",
    "node/web/bodies.py": "tests/unit/node/web/test_contract.py",
    "node/web/health.py": "tests/integration/test_http.py",
    "node/web/messages.py": "tests/integration/test_http.py",
    "node/web/routes.py": "tests/integration/test_http.py",
    "node/web/sessions.py": "tests/integration/test_limits.py",
    "sdk/async_publisher.py": "tests/cluster/test_sdk.py",
    "sdk/async_stream.py": "tests/cluster/test_sdk_streams.py",
    "sdk/http_streams.py": "tests/cluster/test_sdk_streams.py",
    "sdk/redis_streams.py": "tests/cluster/test_sdk_streams.py",
    "sdk/stream.py": "tests/cluster/test_sdk_streams.py",
    "sdk/channel_publishing.py": "tests/cluster/test_sdk_faults.py",
    "sdk/errors.py": "tests/unit/shared/test_errors.py",
    "sdk/failures.py": "tests/cluster/test_sdk_faults.py",
    "sdk/http_route.py": "tests/cluster/test_sdk.py",
    "sdk/node_requests.py": "tests/cluster/test_sdk.py",
    "sdk/publisher.py": "tests/cluster/test_sdk_processes.py",
    "sdk/redis_route.py": "tests/cluster/test_sdk_faults.py",
    "sdk/route.py": "tests/cluster/test_sdk.py",
    "shared/protocol/msgpack_decoding.py": "tests/unit/shared/protocol/test_decoding.py",
    "shared/redis_urls.py": "tests/unit/fanout/redis/test_address.py",
    "shared/extras.py": "tests/unit/test_package.py",
    "shared/protocol/presence_frames.py": "tests/unit/shared/protocol/test_frames.py",
    "shared/protocol/field_schemas.py": "tests/unit/shared/protocol/test_schema.py",
}
"""Modules without a test file of their name, and the file or folder whose tests use them."""


def _modules() -> dict[str, Path]:
    """Each module of the product, and where the file of its tests is expected."""
    return {
        str(path.relative_to(PROJECT)): Path("tests/unit") / path.relative_to(PROJECT).parent / f"test_{path.name}"
        for layer in LAYERS
        for path in (PROJECT / layer).rglob("*.py")
        if not path.name.startswith("__")
    }


def test_each_module_has_a_test_file_of_its_name_or_a_line_in_the_table() -> None:
    without = {module for module, test in _modules().items() if not (PROJECT / test).exists()}

    assert sorted(without - COVERED_BY.keys()) == []
    assert sorted(COVERED_BY.keys() - without) == [], "these have a test file, or are gone: remove their lines"


def test_each_line_of_the_table_names_tests_that_exist() -> None:
    assert [test for test in COVERED_BY.values() if not (PROJECT / test).exists()] == []


def test_each_file_of_unit_tests_begins_with_the_name_of_a_module() -> None:
    names = {module.removesuffix(".py") for module in _modules()}
    files = [
        path.relative_to(PROJECT / "tests/unit")
        for layer in LAYERS
        for path in (PROJECT / "tests/unit" / layer).rglob("test_*.py")
    ]

    def is_of_a_module(file: Path) -> bool:
        words = file.stem.removeprefix("test_").split("_")
        return any(str(file.parent / "_".join(words[:count])) in names for count in range(1, len(words) + 1))

    assert [str(file) for file in sorted(files) if not is_of_a_module(file)] == []


_imports_a_test_module = re.compile(r"^from tests\.(?:\w+\.)*test_\w+ import", re.MULTILINE).search


def test_no_test_module_imports_another_one() -> None:
    importing = {
        path.relative_to(PROJECT).as_posix()
        for path in (PROJECT / "tests").rglob("*.py")
        if _imports_a_test_module(path.read_text())
    }

    assert sorted(importing) == [], "move what is shared to tests/support or a conftest"
