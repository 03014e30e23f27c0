"""A product account: the node of Totango's hierarchy for one product of an account. See docs/totango.md."""

from typing import NamedTuple

from milonga.destinations.integrations import options
from milonga.destinations.totango.attributes import account_attributes
from milonga.destinations.totango.gate import NAME
from milonga.destinations.totango.wire import MAX_ACCOUNT_ID, MAX_PRODUCT_ID
from milonga.spec.event import JsonObject
from milonga.spec.read import object_at
from milonga.spec.text import well_formed
from milonga.spec.values import id_text


class Product(NamedTuple):
    """
    account  id of the product account
    id       of the product
    options  the object as it was given
    """

    account: str
    id: str
    options: JsonObject


def product_of(integrations: JsonObject, account: str) -> Product | None:
    """`integrations.Totango.product` of a group call; None if there is none with ids that can be used."""
    given = object_at(options(integrations, NAME), "product")
    product = id_text(given.get("id"))
    if product is None or len(product) > MAX_PRODUCT_ID:
        return None
    own = id_text(given.get("account_id")) or f"{account}_{product}"
    if len(own) > MAX_ACCOUNT_ID:
        return None
    return Product(well_formed(own), well_formed(product), given)


def product_attributes(product: Product, account: str) -> dict[str, str]:
    """The `sdr_o.*` parameters of the product account. It has no default status: the account itself has one."""
    return {
        **account_attributes(product.options, default_plan="", parent=account),
        "sdr_o.product_id": product.id,
    }
