"""Deleting what is left of arrays that were forgotten: in the bucket, in the ledger and on this machine, some thousands of objects a round."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

from spawn.domain.ids import ArrayKey
from spawn.providers.ec2.objects import delete_objects, listed
from spawn.providers.ec2.orders import Orders
from spawn.providers.ec2.reading import hold_bucket
from spawn.providers.ec2.turn import Turn, array_of

_A_ROUND: Final = 5000

Done = Callable[[str], object]


class Discards:
    """What is to be deleted, and who wants to hear of it. Forgotten with the process: the engine asks again."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._guard = threading.Lock()
        self._wanted: dict[str, Done] = {}

    def add(self, directory: str, done: Done) -> None:
        """Delete an array's files; `done` is called when all of them are gone."""
        with self._guard:
            self._wanted[directory] = done

    def work(self, turn: Turn) -> None:
        """Go on deleting."""
        with self._guard:
            wanted = dict(self._wanted)
        for directory, done in wanted.items():
            if self._deleted(turn, directory):
                with self._guard:
                    self._wanted.pop(directory, None)
                done(directory)

    def _deleted(self, turn: Turn, directory: str) -> bool:
        key = ArrayKey(Path(directory).name.rpartition(".")[2])
        row = turn.ledger.one("SELECT * FROM array WHERE key = ?", key)
        if row is not None:
            array = array_of(row)
            if turn.held(("bucket", key)) or turn.held(turn.access_subject(array)):
                return False
            try:
                names = [name for name, _ in islice(listed(turn, array, ""), _A_ROUND)]
                delete_objects(turn, array, names)
            except (BotoCoreError, ClientError) as error:
                hold_bucket(turn, array, error)
                return False
            if len(names) == _A_ROUND:
                turn.wake_at(turn.now)
                return False
            self._orders.remove(key)
        shutil.rmtree(directory, ignore_errors=True)
        return not os.path.lexists(directory)
