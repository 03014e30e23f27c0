"""The switches of a destination: which there are, and what each does, said before it is thrown. Pure."""

from typing import Final

from msgspec import Struct

from milonga.workspace.model import DestinationConfig, DestinationState

ON, OFF, PAUSED = DestinationState.on, DestinationState.off, DestinationState.paused

_BEGINS: Final = (
    "Begins with what arrives from then on. What arrived while it was off is not sent; a replay can send it later."
)


class Step(Struct, frozen=True, kw_only=True):
    """
    A switch that can be thrown.

    words    what it does to what waits and to what arrives: said beforehand
    ask      a question before it is done; "" if none is needed
    reason   it asks why
    """

    state: DestinationState
    label: str
    words: str
    ask: str = ""
    reason: bool = False


def steps(config: DestinationConfig, waiting: int, *, exact: bool) -> tuple[Step, ...]:
    """What can be done from the state it is in; the likely one first."""
    events = "1 waiting event" if waiting == 1 else f"{waiting:,} waiting events"
    held = "" if not waiting else f"the {events}" if exact else f"up to {events}"
    are = "is" if waiting == 1 and exact else "are"
    off = Step(
        state=OFF,
        label="Switch off",
        words=(
            f"{_capital(held)} {are} recorded as skipped (destination_off) and not sent. "
            if held
            else "Nothing waits. "
        )
        + "What arrives from then on is not kept for it: only a replay sends any of it later.",
        ask=f"Switch {config.name} off? {_capital(held)} will not be sent." if held else "",
    )
    match config.state:
        case DestinationState.on:
            kept = f"{_capital(held)} and what arrives are kept" if held else "What arrives is kept"
            pause = Step(
                state=PAUSED,
                label="Pause",
                words=f"Nothing more is sent. {kept}, for 7 days at most; what waits grows no older meanwhile.",
                reason=True,
            )
            return pause, off
        case DestinationState.paused:
            go = "goes" if are == "is" else "go"
            words = f"{_capital(held)} {go} out first, in order; then what arrives."
            return Step(state=ON, label="Resume", words=words if held else "Nothing waits. What arrives is sent."), off
        case DestinationState.off:
            return (Step(state=ON, label="Switch on", words=_BEGINS),)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
