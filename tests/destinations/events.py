"""Events as hypothesis makes them: any JSON where JSON may stand, with a bias to what the rules speak of."""

from typing import Any

from hypothesis import strategies as st

from milonga.spec.event import Account, Event, EventType
from milonga.spec.read import call_of, object_at
from milonga.spec.values import id_text

# Lone surrogates and control characters included.
text = st.text(st.characters(), max_size=30)
long_text = st.builds(
    lambda piece, times: piece * times, st.text(st.characters(), min_size=1, max_size=3), st.integers(0, 700)
)
dates = st.sampled_from(
    [
        "2024-02-29",
        "2023-02-29",
        "2024-01-01T00:00:00.123456+05:30",
        "0001-01-01T00:00+23:59",
        "9999-12-31 23:59:59-23:59",
        "2024-01-01T00:00:00+24:00",
        "1398938400",
        "9999999999999",
        "²²²²²²²²²²",
    ]
)
numbers = st.one_of(
    st.integers(),
    st.integers(min_value=-(10**400), max_value=10**400),
    st.floats(),
)
scalars = st.one_of(st.none(), st.booleans(), numbers, text, long_text, dates)
names = st.one_of(
    st.sampled_from(
        [
            "name", "account_name", "Create Date", "created", "createdAt", "created_at", "plan", "Status", "id", "",
            "account_id", "parent_id", "product_id", "firstName", "last_name", "Contact", "Key Contact", "address",
            "address_city", "city", "category", "path", "url", "groupId", "page", "All", "Totango", "product", "parent",
        ]
    ),
    text,
    long_text,
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(names, inner, max_size=4)),
    max_leaves=12,
)
objects = st.dictionaries(names, values, max_size=6)
addresses = st.one_of(
    text, st.sampled_from(["/a/b", "/%E9/x", "https://x.example/%41", "//x", "http://[/x", "?", "/%"])
)
pages = st.one_of(values, st.fixed_dictionaries({}, optional={"path": addresses, "url": addresses, "category": values}))
nearly_ids = st.one_of(
    st.sampled_from(["acme", "ada", "a b", "x" * 100, 7, 12.0]),
    st.text(st.characters(), min_size=1, max_size=9),
    st.sampled_from(["acme", "ü" * 101, "x" * 481, "\ud83d"]),
    values,
)
products = st.fixed_dictionaries(
    {"id": nearly_ids}, optional={"account_id": nearly_ids, "name": values, "plan": values}
)
switches = st.one_of(
    values,
    st.fixed_dictionaries(
        {},
        optional={
            "All": st.one_of(st.booleans(), values),
            "Totango": st.one_of(
                st.booleans(),
                st.fixed_dictionaries({"product": products}),
                st.fixed_dictionaries(
                    {}, optional={"product": st.one_of(products, objects, values), "parent": objects}
                ),
                values,
            ),
        },
    ),
)
types: st.SearchStrategy[EventType] = st.sampled_from(
    ["identify", "identify", "group", "group", "track", "track", "page", "page", "screen", "alias"]
)


def _event(type_: EventType, received: dict[str, Any]) -> Event:
    context = object_at(received, "context")
    account = id_text(received.get("groupId") if type_ == "group" else context.get("groupId"))
    return Event(
        type=type_,
        call=call_of(type_, received),
        message_id=id_text(received.get("messageId")),
        user_id=id_text(received.get("userId")),
        anonymous_id=id_text(received.get("anonymousId")),
        account=None if account is None else Account(account, "groupId" if type_ == "group" else "context.groupId"),
        context=context,
        integrations=object_at(received, "integrations"),
        timestamp=received.get("at"),
        received_at=received.get("at"),
        received=received,
    )


events: st.SearchStrategy[Event] = st.builds(
    _event,
    types,
    st.fixed_dictionaries(
        {
            "userId": nearly_ids,
            "context": st.fixed_dictionaries({"groupId": nearly_ids}, optional={"page": pages}),
            "groupId": nearly_ids,
        },
        optional={
            "messageId": values,
            "anonymousId": values,
            "event": st.one_of(st.sampled_from(["Saved", "__heartbeat"]), text, long_text, values),
            "name": st.one_of(text, long_text, values),
            "category": st.one_of(text, long_text, values),
            "traits": st.one_of(objects, values),
            "properties": st.one_of(objects, pages, values),
            "integrations": st.one_of(switches, st.builds(lambda product: {"Totango": {"product": product}}, products)),
            "_metadata": st.one_of(
                st.fixed_dictionaries({"bundled": st.lists(st.one_of(st.just("Totango"), values), max_size=3)}), values
            ),
            "at": st.integers(-(10**20), 10**20),
        },
    ),
)


def nested(depth: int) -> tuple[Any, Any]:
    """An object of objects and a list of lists, this deep."""
    inner_object: Any = 1
    inner_list: Any = 1
    for _ in range(depth):
        inner_object, inner_list = {"a": inner_object}, [inner_list]
    return inner_object, inner_list


def event(type_: EventType, **received: Any) -> Event:
    """One with an account and a user, unless told otherwise."""
    whole = {"type": type_, "userId": "ada", "groupId": "acme", "context": {"groupId": "acme"}, **received}
    return _event(type_, whole)
