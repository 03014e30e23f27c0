from typing import Any

from milonga.delivery.encode import outgoing
from milonga.destinations.contract import Form, Json, Request


def request(body: Form | Json, **more: Any) -> Request:
    return Request(part="p", method="POST", url="https://receiver.example/x", body=body, **more)


def test_a_form_is_encoded_as_forms_are() -> None:
    call = outgoing(request(Form({"sdr_o": "a&b=c d", "sdr_u": "åda+x@acme.example", "empty": ""})), timeout=5.0)
    assert call.body == b"sdr_o=a%26b%3Dc+d&sdr_u=%C3%A5da%2Bx%40acme.example&empty="
    assert call.headers == (("Content-Type", "application/x-www-form-urlencoded"),)
    assert (call.method, call.url, call.timeout) == ("POST", "https://receiver.example/x", 5.0)


def test_json_is_encoded_as_utf_8() -> None:
    call = outgoing(request(Json({"n": 1, "name": "å"}), headers={"Authorization": "Bearer t"}), timeout=5.0)
    assert call.body == '{"n":1,"name":"å"}'.encode()
    assert call.headers == (("Content-Type", "application/json"), ("Authorization", "Bearer t"))
