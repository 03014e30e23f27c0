"""Sockets for libcurl, each for the very address that is connected to: the one place where addresses are refused."""

import socket
from typing import Any

from milonga.delivery.addresses import forbidden


def allowed_socket(address: Any, *, allow_private: bool) -> socket.socket | str:
    """
    A socket to connect with; or the address and why it is forbidden, "" if the system has no socket of its kind.

    address  as pycurl's OPENSOCKETFUNCTION is given it: already resolved
    """
    host = address.addr[0]
    why = None if allow_private else forbidden(host)
    if why is not None:
        return f"{host}, {why}"
    try:
        return socket.socket(address.family, address.socktype, address.protocol)
    except OSError:
        return ""
