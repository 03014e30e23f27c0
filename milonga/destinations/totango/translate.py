"""From an event to Totango's requests. Every rule, with its source, is in docs/totango.md."""

from milonga.destinations.contract import Request, Requests, Skip
from milonga.destinations.integrations import options
from milonga.destinations.totango.attributes import account_attributes, user_attributes
from milonga.destinations.totango.gate import NAME, Ids, gate, unsupported
from milonga.destinations.totango.module import module_of
from milonga.destinations.totango.pages import page_activities
from milonga.destinations.totango.products import product_attributes, product_of
from milonga.destinations.totango.settings import Settings
from milonga.destinations.totango.values import cut
from milonga.destinations.totango.wire import MAX_ACTIVITY, request
from milonga.spec.event import Alias, Event, Group, Identify, Page, Screen, Track
from milonga.spec.read import object_at
from milonga.spec.values import id_text


def translate(event: Event, settings: Settings) -> Requests | Skip:
    """One request for each account, user or activity the event speaks of."""
    ids = gate(event, settings)
    if isinstance(ids, Skip):
        return ids
    match event.call:
        case Group():
            return _group(event, event.call, ids, settings)
        case Identify(traits=traits):
            return [request("user", settings, ids.account, ids.user, user_attributes(traits))]
        case Track(name=name) as track:
            return [_activity("activity", name or "", module_of(track, event.context, settings), ids, settings)]
        case Page() as page:
            activities = page_activities(page, settings)
            if isinstance(activities, Skip):
                return activities
            module = module_of(page, event.context, settings)
            return [_activity(part, activity, module, ids, settings) for part, activity in activities]
        case Screen() | Alias():
            return unsupported(event.type)


def _group(event: Event, group: Group, ids: Ids, settings: Settings) -> list[Request]:
    parent = id_text(object_at(options(event.integrations, NAME), "parent").get("id"))
    attributes = account_attributes(group.traits, default_plan=settings.default_plan, parent=parent)
    requests = [request("account", settings, ids.account, ids.user, attributes)]
    if (product := product_of(event.integrations, ids.account)) is not None:
        attributes = product_attributes(product, ids.account)
        requests.append(request("product", settings, product.account, ids.user, attributes))
    return requests


def _activity(part: str, activity: str, module: str, ids: Ids, settings: Settings) -> Request:
    return request(part, settings, ids.account, ids.user, {"sdr_a": cut(activity, MAX_ACTIVITY), "sdr_m": module})
