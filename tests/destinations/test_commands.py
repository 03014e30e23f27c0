"""`milonga translate` and `milonga fake`, as a person runs them."""

import json
import re
import select
import signal
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

SETTINGS = '{"serviceId": "SP-1-01", "sdrToken": "hush"}'
TRACK = {"type": "track", "messageId": "m-1", "userId": "ada", "event": "Saved", "context": {"groupId": "acme"}}
SENT = {
    "sdr_s": "SP-1-01",
    "sdr_o": "acme",
    "sdr_u": "ada",
    "sdr_a": "Saved",
    "sdr_m": "Application",
    "api-token": "***",
}
MILONGA = str(Path(sys.executable).with_name("milonga"))
PATIENCE = 30.0  #: seconds nothing here ever needs; beyond them a test fails


def milonga(*arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [MILONGA, *arguments]
    return subprocess.run(command, input=given, capture_output=True, timeout=PATIENCE, check=False)


def lines(ran: subprocess.CompletedProcess[bytes]) -> list[Any]:
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_each_line_in_becomes_one_line_out_and_secrets_are_hidden() -> None:
    skipped = {**TRACK, "messageId": None, "userId": None}
    given = "\n".join(json.dumps(event) for event in (TRACK, skipped)).encode()
    ran = milonga("translate", "totango", "--settings", SETTINGS, given=given)
    assert (ran.returncode, ran.stderr) == (0, b"")
    first, second = lines(ran)
    assert first == {"messageId": "m-1", "requests": [SENT], "skip": None}
    assert (second["messageId"], second["requests"], second["skip"]["code"]) == (None, [], "missing_user_id")
    assert second["skip"]["fix"]
    assert b"hush" not in ran.stdout
    assert b'{"messageId":"m-1","requests":[{"sdr_s":"SP-1-01",' in ran.stdout


def test_full_adds_part_method_and_url(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text(json.dumps(TRACK))
    ran = milonga("translate", "totango", "--full", "--settings", SETTINGS, str(file))
    (request,) = lines(ran)[0]["requests"]
    assert request == {
        "part": "activity",
        "method": "POST",
        "url": "https://sdr.totango.com/pixel.gif/",
        "params": SENT,
    }


def test_a_json_body_is_shown_as_it_is() -> None:
    settings = '{"url": "https://hooks.example.com/", "authorization": "hush"}'
    given = json.dumps(TRACK).encode()
    body = {**TRACK, "milonga": {"account": {"id": "acme", "found": "context.groupId"}}}
    assert lines(milonga("translate", "webhook", "--settings", settings, given=given))[0]["requests"] == [body]
    ran = milonga("translate", "webhook", "--settings", settings, "--full", "-", given=given)
    (request,) = lines(ran)[0]["requests"]
    assert (request["json"], request["headers"]) == (body, {"Authorization": "***"})
    assert b"hush" not in ran.stdout


def test_settings_may_be_a_file_and_absent_ones_have_their_defaults(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_text('{"serviceId": "SP-2-02"}')
    given = json.dumps(TRACK).encode()
    ran = milonga("translate", "totango", "--settings", str(file), given=given)
    assert lines(ran)[0]["requests"][0]["sdr_s"] == "SP-2-02"
    assert lines(milonga("translate", "totango", given=given))[0]["skip"]["code"] == "missing_service_id"


def test_a_bad_line_is_named_the_others_are_translated_and_the_end_is_1() -> None:
    good = json.dumps(TRACK).encode()
    given = b"\n".join(
        [good, b"tango", b"", b"[1]", b'{"type": "dance"}', b'{"a":"' + b"x" * 1_100_000 + b'"}', b"[" * 50_000, good]
    )
    ran = milonga("translate", "totango", "--settings", SETTINGS, given=given)
    assert (ran.returncode, ran.stderr) == (1, b"")
    first, *bad, last = lines(ran)
    assert first["requests"] == last["requests"] == [SENT]
    assert [each["line"] for each in bad] == [2, 4, 5, 6, 7]
    assert all(set(each) == {"line", "error"} and each["error"] for each in bad)


def test_lines_are_answered_while_more_are_to_come() -> None:
    command = [MILONGA, "translate", "totango", "--settings", SETTINGS]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        for _ in range(2):
            running.stdin.write(json.dumps(TRACK).encode() + b"\n")
            running.stdin.flush()
            assert select.select([running.stdout], [], [], PATIENCE)[0]
            assert json.loads(running.stdout.readline())["requests"] == [SENT]
        running.stdin.close()
        assert running.wait(PATIENCE) == 0


def test_a_reader_that_has_seen_enough_is_no_failure() -> None:
    command = [MILONGA, "translate", "totango", "--settings", SETTINGS]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        running.stdin.write(json.dumps(TRACK).encode() + b"\n")
        running.stdin.close()
        assert running.wait(PATIENCE) == 0
        assert running.stderr.read() == b""


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("translate", "tango"), "totango"),
        (("translate", "totango", "--settings", '{"region": "mars"}'), "region"),
        (("translate", "totango", "--settings", '{"servceId": "x"}'), "servceId"),
        (("translate", "totango", "--settings", "{"), "settings"),
        (("translate", "totango", "--settings", "/nowhere.json"), "/nowhere.json"),
        (("translate", "totango", "/nowhere.jsonl"), "/nowhere.jsonl"),
        (("translate", "totango", "/"), "directory"),
        (("fake", "tango"), "totango"),
    ],
)
def test_wrong_use_ends_with_2_and_a_word_about_it(arguments: tuple[str, ...], word: str) -> None:
    ran = milonga(*arguments)
    assert ran.returncode == 2
    assert ran.stdout == b""
    assert word in ran.stderr.decode()
    assert b"Traceback" not in ran.stderr


def test_the_pretend_totango_runs_until_it_is_stopped() -> None:
    command = [MILONGA, "fake", "totango", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            assert select.select([running.stdout], [], [], PATIENCE)[0]
            told = running.stdout.readline()
            found = re.search(r"http://127\.0\.0\.1:(\d+)", told)
            assert found is not None, told
            connection = HTTPConnection("127.0.0.1", int(found[1]), timeout=PATIENCE)
            connection.request("GET", "/pixel.gif?sdr_o=acme")
            answer = connection.getresponse()
            assert (answer.status, len(answer.read())) == (200, 43)
            second = milonga("fake", "totango", "--port", found[1])
            assert second.returncode == 1
            assert found[1] in second.stderr.decode()
            connection.close()
        finally:
            running.send_signal(signal.SIGINT)
        assert running.wait(PATIENCE) == 0
