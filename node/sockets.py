"""Bytes on the TCP sockets of a process and its children, as Linux counts them (``tcp_info``). Needs no privilege.

What is counted: bytes that were sent and acknowledged, and bytes that were received, on TCP connections over the
network and over loopback; connections between two processes of the tree (a node and the IPFS daemon that it started)
are left out. What is not: UDP (so QUIC), Unix sockets, headers and retransmissions, and what a connection carried after
the last look at it: with a look every ten seconds, short connections (most calls of an IPFS daemon's API) are missed.
So it is a lower bound; elsewhere than on Linux it can't be had.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
NLM_F_REQUEST_DUMP = 0x301
NLMSG_ERROR, NLMSG_DONE = 2, 3
INET_DIAG_INFO = 2
ALL_STATES = 0xFFFFFFFF
HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
REQUEST = struct.Struct("=BBBBI48x")  # family, protocol, extensions, padding, states, socket id
BODY_BYTES, INODE_AT, INFO_BYTES_AT = 72, 68, 120  # of inet_diag_msg; of tcp_info's bytes_acked and bytes_received
RECEIVE_BYTES = 1 << 18
TIMEOUT_SECONDS = 2.0
MOST_PROCESSES = 4096

Ends = tuple[bytes, bytes]


@dataclass(frozen=True)
class Connection:
    """One TCP socket: its inode, its two ends, and the bytes that it has carried."""

    inode: int
    ends: Ends
    sent: int
    received: int


class SocketMeter:
    """Adds up over the life of a process; call :meth:`look` every few seconds from one thread."""

    def __init__(self, pid: int | None = None, proc: Path = Path("/proc")) -> None:
        self._pid, self._proc = pid or os.getpid(), proc
        self._open: dict[tuple[int, Ends], tuple[int, int]] = {}
        self._closed = [0, 0]

    def look(self) -> tuple[int, int] | None:
        """Bytes sent and received since the process began; None where they can't be counted."""
        inodes = _inodes(self._proc, tree(self._pid, self._proc))
        try:
            mine = [c for family in (socket.AF_INET, socket.AF_INET6) for c in connections(family) if c.inode in inodes]
        except (OSError, AttributeError, struct.error):  # no netlink here
            return None
        ends = {c.ends for c in mine}
        now = {(c.inode, c.ends): (c.sent, c.received) for c in mine if c.ends[::-1] not in ends}
        for key, (sent, received) in self._open.items():
            if key not in now:
                self._closed[0] += sent
                self._closed[1] += received
        self._open = now
        sent, received = (self._closed[i] + sum(values[i] for values in now.values()) for i in (0, 1))
        return sent, received


def tree(pid: int, proc: Path = Path("/proc")) -> list[int]:
    """A process and all of its descendants that live."""
    found: list[int] = []
    waiting = [pid]
    while waiting and len(found) < MOST_PROCESSES:
        number = waiting.pop()
        found.append(number)
        with contextlib.suppress(OSError, ValueError):  # it has ended meanwhile
            for task in (proc / str(number) / "task").iterdir():
                waiting += [int(child) for child in (task / "children").read_text().split()]
    return found


def _inodes(proc: Path, pids: list[int]) -> set[int]:
    """Of the sockets that the processes hold."""
    found: set[int] = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            for entry in os.scandir(proc / str(pid) / "fd"):
                with contextlib.suppress(OSError, ValueError):
                    name = os.readlink(entry.path)
                    if name.startswith("socket:["):
                        found.add(int(name[8:-1]))
    return found


def connections(family: int) -> Iterator[Connection]:
    """The machine's TCP sockets of an address family (of this network namespace)."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_SOCK_DIAG) as link:
        link.settimeout(TIMEOUT_SECONDS)
        request = REQUEST.pack(family, socket.IPPROTO_TCP, 1 << (INET_DIAG_INFO - 1), 0, ALL_STATES)
        header = HEADER.pack(HEADER.size + len(request), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST_DUMP, 1, 0)
        link.sendto(header + request, (0, 0))
        while True:
            data, offset = link.recv(RECEIVE_BYTES), 0
            while offset + HEADER.size <= len(data):
                length, kind, *_ = HEADER.unpack_from(data, offset)
                if kind == NLMSG_DONE:
                    return
                if kind == NLMSG_ERROR or length < HEADER.size:
                    raise OSError("the kernel refused to list sockets")
                found = _connection(data[offset + HEADER.size : offset + length])
                if found is not None:
                    yield found
                offset += (length + 3) & ~3


def _connection(body: bytes) -> Connection | None:
    """From an ``inet_diag_msg`` with its attributes; None for a socket without figures."""
    if len(body) < BODY_BYTES:
        return None
    (inode,) = struct.unpack_from("=I", body, INODE_AT)
    local = body[4:6] + body[8:24]  # port, then address
    remote = body[6:8] + body[24:40]
    offset = BODY_BYTES
    while offset + 4 <= len(body):
        length, kind = struct.unpack_from("=HH", body, offset)
        if length < 4:
            return None
        if kind == INET_DIAG_INFO and length >= 4 + INFO_BYTES_AT + 16:
            acked, received = struct.unpack_from("=QQ", body, offset + 4 + INFO_BYTES_AT)
            sent = max(0, acked - 1)  # the handshake counts as one
            return Connection(inode, (local, remote), sent, received) if remote[:2] != b"\0\0" else None
        offset += (length + 3) & ~3
    return None
