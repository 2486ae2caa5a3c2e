"""Write what every task returned to a file, a JSON object a line, so that tests need not read Ansible's prose."""

from __future__ import annotations

import json
import os
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: results
type: notification
short_description: Results of tasks for tests
description:
  - Appends one JSON object for each task and host to the file named in E(TEST_RESULTS).
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]  # Ansible has no types
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "results"
    CALLBACK_NEEDS_ENABLED = True

    def _note(self, outcome: str, result: Any) -> None:
        line = {
            "outcome": outcome,
            "task": result._task.get_name(),
            "action": result._task.action,
            "result": json.loads(self._dump_results(result._result)),
        }
        with open(os.environ["TEST_RESULTS"], "a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")

    def v2_runner_on_ok(self, result: Any) -> None:
        self._note("ok", result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._note("ignored" if ignore_errors else "failed", result)

    def v2_runner_on_skipped(self, result: Any) -> None:
        self._note("skipped", result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._note("unreachable", result)
