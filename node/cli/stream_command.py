"""The command that writes standard input to a stream: `tannoy stream agent:42`."""

import json
import os
import select
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from ...client.errors import ClientError
from .exits import fail, load_settings_or_fail, warn
from .message_commands import Url, Username, check_target_or_fail, cluster_url

if TYPE_CHECKING:
    from ...client.stream_upload import StreamUpload

ALIVE_SECONDS = 5.0
"""After which a silent input is told to the cluster: it would take the stream for lost otherwise."""
READ_BYTES = 8192


def stream(
    target: Annotated[str, typer.Argument(help="room:NAME or agent:ID")], username: Username = None, url: Url = None
) -> None:
    """Write standard input to a stream, as it comes, and print how the stream has ended as JSON.

    All sessions hear the text while it grows, and it is one message of the history at its end. If somebody asks to
    stop, no more is read. Ctrl-C ends the stream as stopped too.

    Examples:

      llm "Write a poem" | tannoy stream agent:42

      tail -f build.log | tannoy stream room:builds --username ci
    """
    from ...client.api_client import ApiClient
    from ...client.stream_upload import StreamUpload

    check_target_or_fail(target, "room", "agent")
    settings = load_settings_or_fail()
    try:
        client = ApiClient(cluster_url(url, settings), settings.api_key.get_secret_value())
        upload = StreamUpload(client, target, warn)
        upload.begin(username)
        ended = upload.end(_copy_input(upload))
    except ClientError as error:
        fail(str(error))
    typer.echo(json.dumps({"stream_id": upload.stream_id, **ended}))


def _copy_input(upload: "StreamUpload") -> str:
    """Write standard input until it ends; how that was."""
    try:
        for data in _pieces():
            upload.add(data)
            upload.send()
            if upload.is_stopped:
                warn("somebody has asked to stop")
                return "stopped"
    except KeyboardInterrupt:
        return "stopped"
    return "done"


def _pieces() -> Iterator[bytes]:
    """What comes, as it comes; nothing, where nothing has come for ALIVE_SECONDS."""
    source = sys.stdin.fileno()
    while True:
        ready, _, _ = select.select([source], [], [], ALIVE_SECONDS)
        data = os.read(source, READ_BYTES) if ready else b""
        if ready and not data:
            return
        yield data
