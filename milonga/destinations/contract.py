"""
What a destination is: one folder of pure functions on plain data. See docs/add-a-destination.md.

Nothing here, or in a destination's folder, opens a socket or reads a file or the clock (its `fake.py` aside).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from msgspec import Struct

from milonga.spec.event import Event, EventType

Key: TypeAlias = tuple[str, ...]
"""
One thing an event must wait its turn for, such as ("acme",) or ("acme", "ada@acme.example"). The first item is the
account, or what stands for it, so that all events of one key lie in one partition of the log.
"""


class Form(Struct, frozen=True):
    """An `application/x-www-form-urlencoded` body. Values are text before encoding."""

    params: Mapping[str, str]


class Json(Struct, frozen=True):
    """An `application/json` body."""

    value: Any


class Signature(Struct, frozen=True):
    """
    To be put on a request when it is sent, over the bytes that leave (milonga.destinations.signing).

    id       of the message, in `webhook-id`: the same at every translation of the event; no dot, no space
    secrets  one or more, each as its owner wrote it (`whsec_...`); never shown
    """

    id: str
    secrets: tuple[str, ...]


class Request(Struct, frozen=True, kw_only=True):
    """
    One HTTP call a destination wants sent: data, not an action.

    part     name of this request within its event, unique there and the same at every translation of the event:
             by it we know after a crash which requests of an event had already been delivered
    method   as in HTTP
    url      absolute, https unless the user's own setting says otherwise
    headers  beyond those every request has (content type, length, user agent)
    body     what to send
    secrets  names of parameters and headers whose values are shown as *** everywhere but on the wire
    sign     how the request is to be signed; None if it is not
    """

    part: str
    method: Literal["POST", "PUT", "PATCH", "GET", "DELETE"]
    url: str
    body: Form | Json
    headers: Mapping[str, str] = {}
    secrets: frozenset[str] = frozenset()
    sign: Signature | None = None


class Skip(Struct, frozen=True):
    """
    A decision not to send.

    code  short name, counted and searched for: `missing_group_id`
    fix   what the reader can do about it, one or two sentences
    """

    code: str
    fix: str


class Notice(Struct, frozen=True):
    """
    What the receiver gets otherwise than it was sent, or perhaps not as it was meant. It changes nothing.

    code   short name
    field  of the event, dotted, such as "traits.plan"
    says   in a sentence or two
    """

    code: str
    field: str
    says: str


Requests: TypeAlias = Sequence[Request]
"""One or more, in the order in which they must be delivered."""


class Delivered(Struct, frozen=True):
    """The destination has it."""


class TryAgain(Struct, frozen=True):
    """
    The moment's fault: no answer, overload.

    code    short name, such as `http_503` or `no_connection`
    reason  in words
    wait    seconds the receiver asked us to wait (Retry-After); None if it did not say
    """

    code: str
    reason: str
    wait: float | None = None


class BadEvent(Struct, frozen=True):
    """The event's fault: the same event would be refused again. It becomes a dead letter."""

    code: str
    reason: str


class BadSettings(Struct, frozen=True):
    """The settings' fault: every event would be refused. The destination is paused once that is sure."""

    code: str
    reason: str


Ending: TypeAlias = Delivered | TryAgain | BadEvent | BadSettings


class Answer(Struct, frozen=True):
    """
    status   of HTTP
    headers  names in lower case; of a repeated header the last
    body     its first 1,000 bytes
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class Batching(Struct, frozen=True, kw_only=True):
    """
    How requests of several events travel as one. Delivery puts only such together as have the same method, address,
    headers and secrets and are not signed, and never two of one event or of one ordering key.

    events  in one request at most
    size    bytes of the body of one request at most; a single event larger than that still travels, alone
    wait    seconds that a request which is not full waits for more events while others are under way; none is ever
            kept waiting while nothing is
    join    (requests, two or more, each of another event) -> the one to send. Pure; its body may differ from theirs,
            nothing else. Its answer is judged once, for all of them: if it says that the event is bad, they are sent
            again in smaller company, down to one by one, so that only the bad one is refused in the end
    """

    events: int
    size: int
    wait: float
    join: Callable[[Requests], Request]


class Destination(Struct, frozen=True, kw_only=True):
    """
    A kind of receiver, found by being there: `milonga/destinations/<kind>/__init__.py` holds one as `destination`.

    kind          name of the folder, used in commands
    label         for people, and the exact name in an event's `integrations`
    summary       one sentence for the catalogue
    settings      a msgspec Struct with a default for every field; each field's label and help stand in its
                  `msgspec.Meta(title=, description=)`; `extra={"secret": True}` marks a secret,
                  `extra={"required": True}` one without which nothing can be sent,
                  `extra={"address": True}` one that holds a URL to send to,
                  `extra={"generated": True}` a text that is made when the destination is added: 16 random hexadecimal
                  digits, the same for all of its kind in one Milonga,
                  `extra={"pattern_hint": regex, "hint": text}` what it usually looks like: others get a warning
    keys          (event, settings) -> its ordering keys, none if it need not wait for any other. Must not raise for any
                  event. With new settings, what was read before stays in the lines it stands in
    crossing      types of events that may have keys of other accounts than their own, as Totango's product accounts do.
                  All keys of any other event begin with its account, else its user id, else its anonymous id
    translate     (event, settings) -> requests or a skip; must not raise for any event
    judge         (answer, now in unix seconds) -> how the request ended
    browser       settings -> what our browser library must know of this destination, as JSON, or None if nothing;
                  every visitor of the site can read it: never a secret
    lifetime      (event, settings) -> seconds after it happened beyond which it is not worth sending, whatever the
                  destination did in the meantime; None: as long as any other. Must not raise for any event
    batch         how requests of several events travel as one; None: each event by itself
    relays        its receiver has destinations of its own, for which an event's `integrations` are meant as well: a
                  replay leaves them as they are
    heeds_all     settings -> whether `All: false` in `integrations` switches it off where its own name does not stand
    overwriting   types of events whose requests may overwrite what an earlier event has set, as attributes do
    sets          request -> which parameters of its form do so, and what each sets, such as
                  {"sdr_o.Status": ("account", "acme", "Status")}: a replay leaves them out where a newer event has set
                  the same. Of no other requests is it asked than those of `overwriting` events
    notices       (event, settings) -> what to tell whoever tries an event out: what is left out, cut or filled in. Must
                  not raise for any event; none for one that becomes no request
    before_replay what to know before events are sent to it once more, in a sentence or two; "" if nothing
    reaches       settings -> the URL that requests go to, "" if none is set: what a test of the connection connects to.
                  None: the first setting that is marked as an address
    unproven      what no test of the connection can find out, since it sends no event, and where to look instead; a
                  sentence or two
    """

    kind: str
    label: str
    summary: str
    settings: type[Struct]
    keys: Callable[[Event, Any], tuple[Key, ...]]
    translate: Callable[[Event, Any], Requests | Skip]
    judge: Callable[[Answer, float], Ending]
    browser: Callable[[Any], Mapping[str, Any] | None] = lambda _settings: None
    crossing: frozenset[EventType] = frozenset()
    lifetime: Callable[[Event, Any], float | None] = lambda _event, _settings: None
    batch: Batching | None = None
    relays: bool = False
    heeds_all: Callable[[Any], bool] = lambda _settings: True
    overwriting: frozenset[EventType] = frozenset()
    sets: Callable[[Request], Mapping[str, Key]] = lambda _request: {}
    notices: Callable[[Event, Any], Sequence[Notice]] = lambda _event, _settings: ()
    before_replay: str = ""
    reaches: Callable[[Any], str] | None = None
    unproven: str = "Whether the receiver takes events shows when the first one is sent."
