"""The embedded Redis: the broker of Celery. It keeps hints only, so nothing of it is written to
disk.
"""

from __future__ import annotations

import signal
import socket
from pathlib import Path

from portal.embedded import places
from portal.embedded.places import HomePaths
from portal.embedded.processes import ServerUser, server_account

STOP = signal.SIGTERM


def prepare(layout: HomePaths) -> tuple[list[str | Path], ServerUser]:
    """The command that serves the private socket, and whom it runs as."""
    account = server_account()
    folder = places.socket_folder(layout, "redis", account)
    command: list[str | Path] = [places.redis_program(account), "--port", "0"]
    command += ["--unixsocket", layout.redis_socket, "--unixsocketperm", "700", "--dir", folder]
    command += [
        "--save",
        "",
        "--appendonly",
        "no",
        "--maxmemory-policy",
        "noeviction",
        "--daemonize",
        "no",
    ]
    return command, account


def answers(layout: HomePaths) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(2)
            client.connect(str(layout.redis_socket))
            client.sendall(b"PING\r\n")
            return client.recv(7).startswith(b"+PONG")
    except OSError:
        return False
