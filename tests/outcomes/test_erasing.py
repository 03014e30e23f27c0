"""What attempts say of a user is erased from all files of outcomes, beside their writer; outcomes stay."""

from pathlib import Path

from milonga.eventlog.api import Position
from milonga.outcomes.erasing import erase_attempts, erase_words
from milonga.outcomes.files import segments
from milonga.outcomes.reader import OutcomeReader
from milonga.outcomes.writer import OutcomeWriter
from tests.clocks import Still
from tests.outcomes.test_outcome_files import AT, attempt, outcome

ADA = "ada.lovelace@example.com"


def left(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if ADA.encode() in path.read_bytes()]


def test_attempts_of_events_go_and_words_of_others_are_emptied(tmp_path: Path) -> None:
    writer, reader = OutcomeWriter(tmp_path, Still(AT / 1000), segment_rows=2), OutcomeReader(tmp_path)
    for offset in range(1, 9):
        answer = f"We do not know {ADA}".encode() if offset in {2, 3, 7} else b"busy"
        writer.write([outcome(offset)], [attempt(offset, answer=answer), attempt(offset, reason=f"{offset}")])
    assert len(segments(tmp_path)) > 2
    assert erase_attempts(tmp_path, [Position(0, 2), Position(0, 5), Position(0, 99)]) == (4, [])
    assert reader.attempts(Position(0, 2), 1) == reader.attempts(Position(0, 5), 1) == []
    assert len(left(tmp_path)) >= 1
    assert erase_words(tmp_path, [ADA]) == 2
    assert sorted((one.reason, one.answer) for one in reader.attempts(Position(0, 3), 1)) == [("", b""), ("3", b"busy")]
    assert left(tmp_path) == []
    writer.write([outcome(10)], [attempt(10)])
    assert len(reader.of_many([Position(0, n) for n in range(1, 11)])) == 9
    writer.close()
