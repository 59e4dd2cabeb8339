"""The connection between the first rank's process and each other one's: messages as between a parent and its worker."""

from __future__ import annotations

import contextlib
import ipaddress
import queue
import socket
import threading
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO, cast

from backends.contract import Array
from harness.launch import Launch
from harness.plan import Cell
from harness.protocol import Message, ProtocolError, read_message, write_message
from harness.provenance import suite_digest, versions
from harness.ranks import MEETING_TIMEOUT_S
from harness.schema import digest

# How long the first rank waits for the others, and they for it: nodes start apart, and pods fetch their image first.
ARRIVAL_TIMEOUT_S = 600.0
# How long either may take for an answer that needs no work.
ANSWER_TIMEOUT_S = 30.0
# A machine that is silent for so long is gone.
SILENCE_S = 60
KINDS = (
    # What those who arrive say, and what they are told.
    *("join", "welcome", "refused"),
    # For each cell: its name, where a rank listens, where all do; what ranks tell; that all are done, or have to be.
    *("cell", "port", "start", "phase", "outcome", "concluded", "stop"),
    # After the last.
    "done",
)


class LinkLost(Exception):
    """The other end is gone, or says what is no message."""


class Link:
    """One end of a connection, which a thread reads. Sending and receiving raise LinkLost."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(None)
        _notice_silence(connection)
        self._connection = connection
        self._inbox: queue.Queue[Message | None] = queue.Queue()
        self.peer = plain_host(connection.getpeername()[0])
        threading.Thread(target=self._read, daemon=True).start()

    def send(self, kind: str, body: Mapping[str, Any] = {}, arrays: Mapping[str, Array] = {}) -> None:
        try:
            with self._connection.makefile("wb") as stream:
                write_message(cast(BinaryIO, stream), kind, body, arrays)
        except OSError as error:
            raise LinkLost(str(error.strerror)) from None

    def receive(self, timeout_s: float) -> Message | None:
        """The next message; None where there is none in time."""
        try:
            message = self._inbox.get(timeout=timeout_s) if timeout_s > 0 else self._inbox.get_nowait()
        except queue.Empty:
            return None
        if message is None:
            self._inbox.put(None)
            raise LinkLost("it has closed the connection")
        return message

    def expect(self, *kinds: str) -> Message:
        """The next message, which has to be one of these kinds and come at once."""
        message = self.receive(ANSWER_TIMEOUT_S)
        if message is None or message.kind not in kinds:
            raise LinkLost(f"it did not say {' or '.join(kinds)}")
        return message

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()

    def _read(self) -> None:
        with contextlib.suppress(OSError, ProtocolError), self._connection.makefile("rb") as stream:
            while (message := read_message(cast(BinaryIO, stream), KINDS)) is not None:
                self._inbox.put(message)
        self._inbox.put(None)


def _notice_silence(connection: socket.socket) -> None:
    """Have the system ask whether the other machine is still there."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = {"TCP_KEEPIDLE": SILENCE_S // 2, "TCP_KEEPINTVL": SILENCE_S // 6, "TCP_KEEPCNT": 3}
    for name, value in {**options, "TCP_USER_TIMEOUT": SILENCE_S * 1000}.items():
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def listen(port: int) -> socket.socket:
    """On every address of this machine. Raises OSError."""
    if socket.has_dualstack_ipv6():
        # A system may know IPv6 and have it switched off.
        with contextlib.suppress(OSError):
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def free_port() -> int:
    """One that nobody listens on."""
    with listen(0) as found:
        return int(found.getsockname()[1])


def plain_host(text: str) -> str:
    """An address of IPv4 as such, where it came by way of IPv6."""
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or text)


def is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host.partition("%")[0]).is_loopback


def join_address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def make_group(launch: Launch, addresses: Sequence[str]) -> dict[str, Any]:
    """The group of a worker's request. An address without a host is on the first rank's machine, which each of the
    ranks knows by a name of its own."""
    complete = [join_address(launch.host, int(address[1:])) if address[:1] == ":" else address for address in addresses]
    return {"rank": launch.rank, "addresses": complete, "timeout_s": MEETING_TIMEOUT_S}


def agreement(configuration: Mapping[str, Any], cells: Sequence[Cell]) -> str:
    """A digest of what has to be the same for every rank: the recipe, the cells, the suite's code and all versions."""
    made_with = {cell.backend.name: versions(cell.backend) for cell in cells}
    names = [cell.name for cell in cells]
    return digest([configuration, names, made_with, suite_digest()])
