from datetime import UTC, datetime
from typing import Any

from standardwebhooks import Webhook

from milonga.delivery.encode import outgoing
from milonga.destinations.contract import Form, Json, Request, Signature


def request(body: Form | Json, **more: Any) -> Request:
    return Request(part="p", method="POST", url="https://receiver.example/x", body=body, **more)


def test_a_form_is_encoded_as_forms_are() -> None:
    call = outgoing(
        request(Form({"sdr_o": "a&b=c d", "sdr_u": "åda+x@acme.example", "empty": ""})), timeout=5.0, now=0.0
    )
    assert call.body == b"sdr_o=a%26b%3Dc+d&sdr_u=%C3%A5da%2Bx%40acme.example&empty="
    assert call.headers == (("Content-Type", "application/x-www-form-urlencoded"),)
    assert (call.method, call.url, call.timeout) == ("POST", "https://receiver.example/x", 5.0)


def test_json_is_encoded_as_utf_8() -> None:
    call = outgoing(request(Json({"n": 1, "name": "å"}), headers={"Authorization": "Bearer t"}), timeout=5.0, now=0.0)
    assert call.body == '{"n":1,"name":"å"}'.encode()
    assert call.headers == (("Content-Type", "application/json"), ("Authorization", "Bearer t"))


def test_a_signed_request_is_signed_over_the_bytes_that_leave_at_the_time_they_leave() -> None:
    """The example is that of the Standard Webhooks libraries; of two secrets each gives a signature."""
    known = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    sign = Signature("msg_p5jXN8AQM9LWM0D4loKWxJek", (known, "whsec_" + "A" * 32))
    call = outgoing(request(Json({"test": 2432232314}), sign=sign), timeout=5.0, now=1614265330.9)
    headers = dict(call.headers)
    assert call.body == b'{"test":2432232314}'
    assert headers["webhook-id"] == "msg_p5jXN8AQM9LWM0D4loKWxJek"
    assert headers["webhook-timestamp"] == "1614265330"
    first, second = headers["webhook-signature"].split(" ")
    assert first == Webhook(known).sign(sign.id, datetime.fromtimestamp(1614265330, UTC), call.body.decode())
    assert second.startswith("v1,")
    assert second != first
    assert call.headers[0] == ("Content-Type", "application/json")
