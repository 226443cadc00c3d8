"""Where a test cluster's nodes live: in network namespaces where root allows, else on loopback."""

import os
import random
import shutil
import socket
import subprocess
import sys
from contextlib import suppress


class Loopback:
    """All nodes in the machine's own network, told apart by addresses of the loopback device."""

    def ip(self, number: int) -> str:
        """Address of a node; 1 is the head."""
        return f"127.0.0.{number}"

    def join(self, ip: str) -> list[str]:
        """What comes before a command so that it runs on the node of this address."""
        return []

    def close(self) -> None:
        """Nothing was made."""


class Namespaces:
    """The head in the machine's own network, each other node in a namespace of its own, all on one bridge.

    A node reaches nothing of the head's localhost, as on real machines: whoever forgets that is found out.

    Raises:
        OSError: This is not root, or the kernel or ``ip`` does not take part.
    """

    def __init__(self) -> None:
        if os.geteuid() or shutil.which("ip") is None:
            raise OSError("not root, or no ip(8)")
        self.bridge = f"pf{os.getpid() % 10**6}x{random.randrange(100)}"
        self.subnet = f"10.{random.randrange(130, 250)}.{random.randrange(250)}"
        self.made: set[str] = set()
        try:
            _ip("link", "add", self.bridge, "type", "bridge")
            _ip("addr", "add", f"{self.ip(1)}/24", "dev", self.bridge)
            _ip("link", "set", self.bridge, "up")
            self._check_that_a_node_reaches_the_head()
        except (OSError, subprocess.CalledProcessError) as error:
            self.close()
            raise OSError(str(error)) from error

    def _check_that_a_node_reaches_the_head(self) -> None:
        call = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)"
        with socket.create_server((self.ip(1), 0)) as server:
            where = self.ip(1), str(server.getsockname()[1])
            command = [*self.join(self.ip(250)), sys.executable, "-S", "-c", call, *where]
            subprocess.run(command, check=True, capture_output=True)

    def ip(self, number: int) -> str:
        """Address of a node; 1 is the head."""
        return f"{self.subnet}.{number}"

    def join(self, ip: str) -> list[str]:
        """What comes before a command so that it runs on the node of this address."""
        if ip == self.ip(1):
            return []
        number = ip.rpartition(".")[2]
        space, outside = f"{self.bridge}n{number}", f"{self.bridge}v{number}"
        if space not in self.made:
            _ip("netns", "add", space)
            self.made.add(space)
            _ip("link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", space)
            _ip("link", "set", outside, "master", self.bridge, "up")
            _ip("-n", space, "addr", "add", f"{ip}/24", "dev", "eth0")
            _ip("-n", space, "link", "set", "eth0", "up")
            _ip("-n", space, "link", "set", "lo", "up")
        return ["ip", "netns", "exec", space]

    def close(self) -> None:
        """Take all of it away."""
        for space in self.made:
            with suppress(subprocess.CalledProcessError):
                _ip("netns", "delete", space)
        with suppress(subprocess.CalledProcessError):
            _ip("link", "delete", self.bridge)


def new_network() -> Loopback | Namespaces:
    """Namespaces where they can be had."""
    try:
        return Namespaces()
    except OSError:
        return Loopback()


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
