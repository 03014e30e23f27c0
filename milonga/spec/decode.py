"""
From the bytes of a request to its events. A strict, fast path reads what is well-formed; `decode_mended` reads the
rest, and is also the reference: on well-formed input both give the same (a test).
"""

from collections.abc import Callable
from typing import Any, Final, TypeAlias, cast

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from milonga.spec.arrived import NO_ENVELOPE, Arrived, Decoded, Envelope, Items, NotJson
from milonga.spec.depth import too_deep
from milonga.spec.discards import Code, Rejected
from milonga.spec.event import EventType
from milonga.spec.limits import MAX_BATCH, MAX_DEPTH, MAX_EVENT, MAX_EXCERPT, MAX_REQUEST
from milonga.spec.mend import cut, is_nothing, loads, member, mended, next_document, text_of
from milonga.spec.read import EVENT_TYPES, object_at
from milonga.spec.rules import CONSENT_EVENT, fault_of, kind, type_or_fault
from milonga.spec.values import id_text


class _Object(Struct):
    """Any object; nothing of it is kept."""


_Id: TypeAlias = str | int | float | None


class _Lean(Struct, rename="camel", gc=False):
    """What must be known of an event before it is stored. Anything of another type is left to the reference rules."""

    type: str | None = None
    message_id: str | None = None
    user_id: _Id = None
    anonymous_id: _Id = None
    group_id: _Id = None
    previous_id: _Id = None
    event: str | None = None
    name: str | None = None
    category: str | None = None
    timestamp: str | None = None
    sent_at: str | None = None
    write_key: str | None = None
    context: dict[str, Raw] | None = None
    properties: _Object | list[Raw] | None = None
    traits: _Object | list[Raw] | None = None


class _Batch(Struct, rename="camel"):
    batch: list[Raw]
    context: Raw | UnsetType = UNSET  # not `Raw | None`: msgspec 0.22 takes nothing but null for that
    integrations: Raw | UnsetType = UNSET
    sent_at: str | None = None
    write_key: str | None = None


_read_lean: Final[Callable[[bytes], _Lean]] = msgspec.json.Decoder(_Lean).decode
_read_batch: Final[Callable[[bytes], _Batch]] = msgspec.json.Decoder(_Batch).decode
_read_object: Final[Callable[[bytes], _Object]] = msgspec.json.Decoder(_Object).decode
_read_items: Final[Callable[[bytes], dict[str, Raw]]] = msgspec.json.Decoder(dict[str, Raw]).decode

_MANY_PARTS: Final = 250_000
"""Commas above which a body is cut part by part: a list of all its parts could take more memory than is right."""


def decode(body: bytes, implied: EventType | None) -> Decoded | None:
    """
    The strict path. None if the body is not well-formed in every way that matters: then use `decode_mended`.

    implied  type of the one event in the body; None for a batch
    """
    # msgspec does not look at the bytes of what it skips: text that is no UTF-8 would reach the log unseen.
    if not body.isascii():
        try:
            body.decode()
        except UnicodeDecodeError:
            return None
    try:
        return _decode_batch(body) if implied is None else _decode_one(body, implied)
    except (msgspec.MsgspecError, RecursionError):
        return None


def decode_mended(body: bytes, implied: EventType | None) -> Decoded:
    """
    The tolerant path, which saves every event that can be saved. NotJson if none can and the body is to blame.

    Several documents in one body are read as if each had come alone; what a batch was cut off in is lost, the events
    before it are not.
    """
    text = text_of(body)
    # Most faults are of single values. With those mended the strict path, which is ten times faster, may do after all.
    return decode(mended(text).strip().encode(), implied) or decode_cut(text, implied)


def decode_cut(text: str, implied: EventType | None) -> Decoded:
    """Document by document and part by part. NotJson as in `decode_mended`."""
    reader, at = _Reader(implied), 0
    while (start := next_document(text, at)) is not None and reader.left > 0:
        if not is_nothing(text, at, start):
            reader.refuse("malformed_json", "Expected an object - at `$`", text[at:start].encode())
        at = reader.read_document(text, start)
    if not is_nothing(text, at, len(text)):
        code: Code = "malformed_json" if reader.left > 0 else "batch_too_long"
        reader.refuse(code, "Expected an object - at `$`", text[at : at + MAX_EXCERPT].encode())
    decoded = reader.decoded()
    if not decoded.events and all(one.code == "malformed_json" for one in decoded.rejected):
        raise NotJson(decoded.rejected[0].reason if decoded.rejected else "Expected an object, got nothing - at `$`")
    return decoded


def _decode_one(body: bytes, implied: EventType) -> Decoded | None:
    if len(body) > MAX_EVENT:
        reader = _Reader(implied)
        reader.open(NO_ENVELOPE, _read_lean(body).write_key)
        reader.examine(body.strip(), "$", implied)
        return reader.decoded()
    if too_deep(body):
        return None
    lean = _read_lean(body)
    event = _valid(lean, body, implied, NO_ENVELOPE)
    return None if event is None else Decoded(lean.write_key or None, [event], [])


def _decode_batch(body: bytes) -> Decoded | None:
    if len(body) > _MANY_PARTS and body.count(b",") > _MANY_PARTS:
        return None
    batch = _read_batch(body)
    reader = _Reader(None)
    reader.open(
        _envelope(
            batch.sent_at,
            None if isinstance(batch.context, UnsetType) else bytes(batch.context),
            None if isinstance(batch.integrations, UnsetType) else bytes(batch.integrations),
        ),
        batch.write_key,
    )
    parts, room = batch.batch, reader.room()
    for index, part in enumerate(parts if len(parts) <= room else parts[:room]):
        reader.take(bytes(part), index)
    if len(parts) > room:
        reader.leave(bytes(parts[room]), room, len(parts) - room)
    if not parts:
        reader.refuse("empty_batch", "Expected events - at `$.batch`", body)
    return reader.decoded()


class _Reader:
    """Gathers the events of one request."""

    def __init__(self, implied: EventType | None) -> None:
        self._implied = implied
        self._envelope = NO_ENVELOPE
        self._write_key: str | None = None
        self._events: list[Arrived] = []
        self._rejected: list[Rejected] = []

    @property
    def left(self) -> int:
        """How many more a request may hold."""
        return MAX_BATCH - len(self._events) - len(self._rejected)

    def decoded(self) -> Decoded:
        return Decoded(self._write_key, self._events, self._rejected)

    def open(self, envelope: Envelope, write_key: Any) -> None:
        self._envelope = envelope
        self._note_key(write_key)

    def room(self) -> int:
        """How many events may still come: as many as a request may hold, counting what each takes of its envelope."""
        size = self._envelope.size
        return min(self.left, MAX_REQUEST // size) if size else self.left

    def take(self, body: bytes, index: int) -> None:
        """The event at this place of a batch; JSON, but nothing else is known of it."""
        if len(body) + self._envelope.size <= MAX_EVENT and not too_deep(body):
            try:
                lean = _read_lean(body)
            except msgspec.ValidationError:
                pass
            else:
                event = _valid(lean, body, None, self._envelope)
                if event is not None:
                    if self._write_key is None:
                        self._note_key(lean.write_key)
                    self._events.append(event)
                    return
        self.examine(body, f"$.batch[{index}]", None)

    def examine(self, body: bytes, place: str, implied: EventType | None) -> None:
        """The reference: what the rules say of these bytes."""
        size = len(body) + self._envelope.size
        if size > MAX_EVENT:
            self.refuse("event_too_large", f"Expected at most {MAX_EVENT} bytes, got {size} - at `{place}`", body)
            return
        if too_deep(body):
            self.refuse("event_too_deep", f"Expected at most {MAX_DEPTH} levels - at `{place}`", body)
            return
        try:
            received = _read(body)
        except ValueError as error:
            self.refuse("malformed_json", f"{error} - at `{place}`", body)
            return
        if not isinstance(received, dict):
            self.refuse("not_an_object", f"Expected an object, got {kind(received)} - at `{place}`", body)
            return
        self._note_key(received.get("writeKey"))
        type_ = implied or type_or_fault(received)
        fault = fault_of(type_, received) if isinstance(type_, str) else type_
        if isinstance(type_, str) and fault is None:
            self._events.append(_examined(received, body, type_, self._envelope))
        elif fault is not None:
            self.refuse(fault.code, f"{fault.words} - at `{place}{fault.path}`", body)

    def refuse(self, code: Code, reason: str, body: bytes, count: int = 1) -> None:
        self._rejected.append(Rejected(code=code, reason=reason, excerpt=body[:MAX_EXCERPT], count=count))

    def leave(self, body: bytes, index: int, count: int) -> None:
        """Events beyond what a request may hold, the first of which is `body`."""
        self.refuse("batch_too_long", f"Expected at most {index} events - at `$.batch[{index}]`", body, count)

    def read_document(self, text: str, start: int) -> int:
        """The object or list that opens at `start`; returns where it ends."""
        document = cut(text, start, MAX_BATCH)
        whole = text[start : document.end]
        if self._implied is not None:
            self._examine_text(whole, "$", self._implied)
            return document.end
        self._envelope = NO_ENVELOPE
        if text[start] == "[":
            self._read_events(text, start, whole)
            return document.end
        found = [(member(text, begun, stop), stop) for _, begun, stop in document.parts]
        members = {key[0]: (key[1], stop) for key, stop in found if key is not None}
        if "batch" not in members:
            if "type" in members:
                self._examine_text(whole, "$", None)
            elif document.whole and all(key is not None for key, _ in found):
                self.refuse("empty_batch", "Expected a list of events - at `$.batch`", whole.encode())
            else:
                self.refuse("malformed_json", "Expected an object - at `$`", whole.encode())
            return document.end

        def value(key: str) -> bytes | None:
            return mended(text[slice(*members[key])]).encode() if key in members else None

        sent_at, write_key = _scalar(value("sentAt")), _scalar(value("writeKey"))
        self.open(_envelope(_text(sent_at), value("context"), value("integrations")), write_key)
        if text.startswith("[", members["batch"][0]):
            self._read_events(text, members["batch"][0], whole)
        else:
            self.refuse("empty_batch", "Expected a list of events - at `$.batch`", whole.encode())
        return document.end

    def _read_events(self, text: str, start: int, document: str) -> None:
        room = self.room()
        events = cut(text, start, room)
        for index, begun, stop in events.parts:
            self._examine_text(text[begun:stop], f"$.batch[{index}]", None)
        if events.more:
            self.leave(b"", room, events.more)
        if not events.parts and not events.more:
            self.refuse("empty_batch", "Expected events - at `$.batch`", document.encode())

    def _examine_text(self, text: str, place: str, implied: EventType | None) -> None:
        body = text.strip().encode()
        if len(body) <= MAX_EVENT:
            body = mended(text).strip().encode()
        self.examine(body, place, implied)

    def _note_key(self, key: Any) -> None:
        if self._write_key is None and isinstance(key, str) and key:
            self._write_key = key


def _valid(lean: _Lean, body: bytes, implied: EventType | None, envelope: Envelope) -> Arrived | None:
    """The event, if nothing about it is unusual; what is must be examined. Agrees with milonga.spec.rules."""
    type_ = implied or lean.type
    user, anonymous = lean.user_id, lean.anonymous_id
    if user is not None and (type(user) is not str or not user):
        user = id_text(user)
    if anonymous is not None and (type(anonymous) is not str or not anonymous):
        anonymous = id_text(anonymous)
    if (user is None and anonymous is None) or type_ not in EVENT_TYPES:
        return None
    group = None
    if type_ == "track":
        if not lean.event or lean.event == CONSENT_EVENT:
            return None
    elif type_ == "group":
        group = id_text(lean.group_id)
        if group is None:
            return None
    elif type_ == "alias" and (user is None or id_text(lean.previous_id) is None):
        return None
    if (type(lean.properties) is list and lean.properties) or (type(lean.traits) is list and lean.traits):
        return None
    return Arrived(
        type=cast("EventType", type_),
        body=body,
        message_id=lean.message_id or None,
        user_id=user,
        anonymous_id=anonymous,
        group_id=group,
        context=lean.context or {},
        timestamp=lean.timestamp or None,
        sent_at=lean.sent_at or envelope.sent_at,
        envelope=envelope,
    )


def _examined(received: dict[str, Any], body: bytes, type_: EventType, envelope: Envelope) -> Arrived:
    return Arrived(
        type=type_,
        body=body,
        message_id=id_text(received.get("messageId")),
        user_id=id_text(received.get("userId")),
        anonymous_id=id_text(received.get("anonymousId")),
        group_id=id_text(received.get("groupId")) if type_ == "group" else None,
        context={key: Raw(msgspec.json.encode(value)) for key, value in object_at(received, "context").items()},
        timestamp=_text(received.get("timestamp")),
        sent_at=_text(received.get("sentAt")) or envelope.sent_at,
        envelope=envelope,
    )


def _envelope(sent_at: str | None, context: bytes | None, integrations: bytes | None) -> Envelope:
    """What is no object, or an empty one, counts as absent."""
    items, context = _items(context)
    _, integrations = _items(integrations)
    return Envelope(
        sent_at=sent_at or None,
        context=UNSET if context is None else Raw(context),
        integrations=UNSET if integrations is None else Raw(integrations),
        items=items,
        size=len(context or b"") + len(integrations or b""),
    )


def _items(body: bytes | None) -> tuple[Items, bytes | None]:
    if body is None or body[:1] != b"{" or too_deep(body):
        return {}, None
    try:
        if len(body) > MAX_EVENT:  # no event will be small enough beside it, so nobody needs its members
            _read_object(body)
            return {}, body
        items = _read_items(body)
    except msgspec.MsgspecError:
        return {}, None
    return items, body if items else None


def _read(body: bytes) -> Any:
    """JSON that is not too deep; ValueError if it is none."""
    try:
        return msgspec.json.decode(body)
    except msgspec.MsgspecError:
        return loads(body)


def _scalar(body: bytes | None) -> Any:
    """None also for what is longer than anything of use."""
    try:
        return None if body is None or len(body) > MAX_EVENT else loads(body)
    except ValueError:
        return None


_text: Final = id_text  # text that is not empty, or a number written out: the same rule
