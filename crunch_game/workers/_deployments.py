"""Every version of a model's code that is, or was, in the game: what events and strikes make of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from operator import attrgetter
from typing import Any, Final

from crunch_game.events import (
    ModelJoined,
    ModelLeft,
    ModelLoadFailed,
    ModelReady,
    ModelRedeployed,
    ModelRestarted,
    ModelStopped,
)
from crunch_game.models import Model
from crunch_game.storage import DeploymentRecord

_GONE: Final = ("left", "replaced")


class Deployments:
    """The records of a game's deployments, as they change.

    Args:
        known: What the store has of earlier runs.
    """

    def __init__(self, known: Iterable[DeploymentRecord] = ()) -> None:
        self._kept = {_identity(each): each for each in known}
        """As the store has them."""
        self._put_since: dict[tuple[str, str, datetime], DeploymentRecord] = {}
        """Those that may differ from what the store has: it may have thousands, and few change from row to row."""
        self._current: dict[tuple[str, str], DeploymentRecord] = {}
        """Of each model and version the record that is not over, or was last so."""
        for each in self._kept.values():
            self._current[each.model_id, each.deployment_id] = each
        self._before = dict(self._current)

    def hear(self, event: Any, moment: datetime) -> None:
        """Take an event; those that are about no deployment are ignored."""
        match event:
            case ModelJoined(model_id, deployment_id):
                here = self._here(model_id, deployment_id, moment)
                if here.state != "stopped":
                    self._put(here, state="joining", ended=None)
                self._replace_others(here, moment)
            case ModelReady(model_id, deployment_id):
                here = self._here(model_id, deployment_id, moment)
                self._put(here, ready=here.ready or moment, ended=None, state="ready", reason=None)
                self._replace_others(here, moment)
            case ModelRedeployed(model_id, deployment_id):
                self._replace_others(self._here(model_id, deployment_id, moment), moment)
            case ModelLoadFailed(model_id, deployment_id, fault):
                self._put(self._here(model_id, deployment_id, moment), state="failed", reason=fault.message)
            case ModelRestarted(model_id, deployment_id, fault):
                here = self._here(model_id, deployment_id, moment)
                self._put(here, state="restarting", reason=fault.message, restarts=here.restarts + 1)
            case ModelStopped(model_id, deployment_id, reason):
                self._put(self._here(model_id, deployment_id, moment), ended=moment, state="stopped", reason=reason)
            case ModelLeft(model_id):
                self._leave(model_id, moment)

    def stay_stopped(self, model_id: str, deployment_id: str) -> None:
        """A model that was stopped before a restart of the worker was not stopped now, but then."""
        before = self._before.get((model_id, deployment_id))
        if before is not None and before.state == "stopped":
            self._put(before)

    def look(self, models: Mapping[str, Model], moment: datetime) -> None:
        """Take the strikes of all models; those that are no longer here have left meanwhile."""
        for gone in {each.model_id for each in self._current.values() if each.state not in _GONE} - models.keys():
            self._leave(gone, moment)
        for model in models.values():
            here = self._current.get((model.id, model.deployment_id))
            if here is None:
                continue
            strikes = {
                name: {"failures": each.failures, "timeouts": each.timeouts}
                for name, each in model.health.strikes.items()
                if each.failures or each.timeouts
            }
            # One that was stopped by an earlier run of the worker has none now, and those for which it was stopped.
            if strikes != here.strikes and (strikes or here.state != "stopped"):
                self._put(here, strikes=strikes)

    def changed(self) -> list[DeploymentRecord]:
        """Return the records that are not as they were kept, in the order in which they joined."""
        changed = {identity: each for identity, each in self._put_since.items() if self._kept.get(identity) != each}
        self._put_since.clear()
        self._kept |= changed
        return sorted(changed.values(), key=attrgetter("joined"))

    def _here(self, model_id: str, deployment_id: str, moment: datetime) -> DeploymentRecord:
        """Return the record that is not over; a new one if there is none."""
        here = self._current.get((model_id, deployment_id))
        if here is None or here.state in _GONE:
            here = DeploymentRecord(model_id, deployment_id, moment)
            self._put(here)
        return here

    def _put(self, record: DeploymentRecord, **changes: Any) -> None:
        record = replace(record, **changes)
        self._put_since[_identity(record)] = self._current[record.model_id, record.deployment_id] = record

    def _of(self, model_id: str) -> Iterator[DeploymentRecord]:
        yield from [each for each in self._current.values() if each.model_id == model_id and each.state not in _GONE]

    def _replace_others(self, here: DeploymentRecord, moment: datetime) -> None:
        for each in self._of(here.model_id):
            if each.deployment_id != here.deployment_id:
                self._put(each, ended=each.ended or moment, state="replaced", strikes={})

    def _leave(self, model_id: str, moment: datetime) -> None:
        for each in self._of(model_id):
            self._put(each, ended=each.ended or moment, state="left")


def _identity(record: DeploymentRecord) -> tuple[str, str, datetime]:
    return record.model_id, record.deployment_id, record.joined
