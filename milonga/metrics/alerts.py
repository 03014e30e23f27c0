"""Alerts of a running server: judged once a minute, remembered over a restart, logged, and posted if that is wanted."""

import os
import socket
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from milonga.metrics.figures import Figures
from milonga.metrics.rules import RULE, Alert, Change, Thresholds, step
from milonga.outcomes.words import instant

_log = structlog.get_logger("milonga.alerts")

NAME: Final = "alerts.json"  #: in the data directory


class Alerts:
    """
    firing  those that fire, as (alert, name)
    """

    def __init__(self, data: Path, thresholds: Thresholds) -> None:
        self._path = data / NAME
        self._thresholds = thresholds
        self._active = _remembered(self._path)
        self._host = socket.gethostname()

    @property
    def firing(self) -> frozenset[tuple[str, str]]:
        return frozenset((alert.rule, alert.name) for alert in self._active)

    def judge(self, figures: Figures) -> list[dict[str, Any]]:
        """
        What is to be posted. What changed is remembered first, so that a crash in between tells nobody twice; that
        writes a file: use a thread.
        """
        self._active, changes = step(self._active, figures, self._thresholds)
        if changes:
            _remember(self._path, self._active)
        for change in changes:
            tell = _log.warning if change.firing else _log.info
            tell(
                "alert.firing" if change.firing else "alert.resolved",
                alert=change.alert.rule,
                name=change.alert.name,
                says=change.says,
            )
        return [message(change, figures.at, self._thresholds, self._host) for change in changes]


def message(change: Change, at: float, thresholds: Thresholds, host: str) -> dict[str, Any]:
    """What is posted; docs/metrics.md has the shape. `at` in unix seconds."""
    alert, rule = change.alert, RULE.get(change.alert.rule)
    state = "firing" if change.firing else "resolved"
    about = f" {alert.name}" if alert.name else ""
    return {
        "alert": alert.rule,
        "name": alert.name,
        "state": state,
        "since": instant(int(alert.since * 1000)),
        "at": instant(int(at * 1000)),
        "value": change.value,
        "threshold": None if rule is None or rule.threshold is None else rule.threshold(thresholds),
        "says": change.says,
        "fix": rule.fix.replace("NAME", alert.name) if rule is not None and change.firing else "",
        "host": host,
        "text": f"Milonga on {host}: {alert.rule}{about} {state}. {change.says}",
    }


def _remembered(path: Path) -> tuple[Alert, ...]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=tuple[Alert, ...])
    except FileNotFoundError:
        return ()
    except (OSError, msgspec.DecodeError) as error:
        _log.error("alerts.unreadable", file=str(path), error=str(error), then="what still fires is told again")
        return ()


def _remember(path: Path, active: tuple[Alert, ...]) -> None:
    """A full disk costs no more than being told again after a restart."""
    new = path.with_name(f"{path.name}.new")
    try:
        file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(file, "wb") as out:
            out.write(msgspec.json.encode(active))
            out.flush()
            os.fsync(out.fileno())
        new.replace(path)
    except OSError as error:
        _log.error("alerts.not_remembered", file=str(path), error=str(error))
