"""What the tests of tests/integration ask that pvesh does not have, and why: skipped where they go by pvesh.

Over pvesh it is always root@pam who asks, from the host itself. So nothing is refused with 401 or 403, no list is
filtered, nobody locks himself out, there is no log-in; and an option that holds a secret is refused.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

OTHERS = "asks as somebody other than root@pam"
PASSWORDS = "sets a password, which pvesh is not given"
CREDENTIALS = "gives credentials, which pvesh does not take"
SOMEWHERE = "is about how PVE is reached over the network"
TRIED = "tries secrets, which takes HTTPS"
# Parts of the names of tests.
EXCEPTIONS = {
    "modules/test_contract.py::test_a_missing_option_is_named": SOMEWHERE,
    "test_check_mode_predicts_the_run_and_the_second_run_changes_nothing[pve_user-create with a password]": PASSWORDS,
    "test_the_examples_run[pve_user]": PASSWORDS,
    "test_a_password_is_set_once": PASSWORDS,
    "test_requests_of_a_task[pve_user-options2": PASSWORDS,
    "test_requests_of_a_task[pve_user-options3": PASSWORDS,
    "test_what_the_caller_may_not_do_is_refused_in_check_mode_too": OTHERS,
    "test_snapshot.py::test_what_a_snapshot_does_not_hold_is_told": OTHERS,
    "test_gather.py::test_who_sees_little_is_told_so": OTHERS,
    "test_info.py::test_a_password_logs_in_once": OTHERS,
    "test_info.py::test_wrong_credentials_and_no_server_fail_the_task": OTHERS,
    "test_info_missing.py::test_agents_are_asked_two_at_a_time": SOMEWHERE,
    "test_info_missing.py::test_an_auditor": OTHERS,
    "test_info_missing.py::test_two_guests": OTHERS,
    "test_info_missing.py::test_no_rights_at_all": OTHERS,
    "test_info_missing.py::test_an_agent_that_may_not_be_asked": OTHERS,
    "test_inventory.py::test_what_is_shown_can_be_used": CREDENTIALS,
    "test_site.py::test_the_readme": TRIED,
    "test_whatif.py::test_who_does_not_see_all_is_told_nothing_and_refused": OTHERS,
}


def skip(items: Sequence[pytest.Item]) -> None:
    """Mark these tests to be skipped, with the reason."""
    for item in items:
        reason = next((why for part, why in EXCEPTIONS.items() if part in item.nodeid), None)
        if reason:
            item.add_marker(pytest.mark.skip(reason=f"over pvesh: the test {reason}"))
