"""How often whoever it is may try a password: the rules of milonga.workspace.throttle, for pages in several threads."""

import threading
import time
from collections.abc import Callable, Sequence

from starlette.requests import Request

from milonga.collector.proxies import Proxies
from milonga.workspace.throttle import Throttle


class Attempts:
    def __init__(self, trusted: Sequence[str] = (), clock: Callable[[], float] = time.monotonic) -> None:
        """
        trusted  proxies whose word counts about where somebody is: without it all who come through one share its waits
        """
        self._proxies = Proxies(trusted)
        self._clock = clock
        self._throttle = Throttle()
        self._lock = threading.Lock()

    def address(self, request: Request) -> str:
        """Where it came from, for people and for the waits."""
        fields = {
            name.encode(): ", ".join(request.headers.getlist(name)).encode("latin-1", "replace")
            for name in ("x-forwarded-for", "forwarded")
            if name in request.headers
        }
        peer = self._proxies.peer(request.client.host if request.client else None, secure=False)
        return self._proxies.sender(fields, peer) or "unknown"

    def wait(self, name: str, request: Request) -> float:
        """Seconds to wait; 0.0: try now, and it counts as failed unless `succeeded` is called."""
        with self._lock:
            return self._throttle.admit(name, self.address(request), self._clock())

    def succeeded(self, name: str, request: Request) -> None:
        with self._lock:
            self._throttle.succeeded(name, self.address(request))
