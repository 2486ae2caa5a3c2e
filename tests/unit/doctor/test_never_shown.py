"""However credentials are mixed up: the doctor raises nothing, and shows no part of a secret."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("hypothesis")

from ansible_collections.homelab.pve.plugins.module_utils.client.options import check_secret, check_token_id
from ansible_collections.homelab.pve.plugins.module_utils.doctor import credentials
from ansible_collections.homelab.pve.tests.unit.examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

SECRET = "0f0f0f0f-1111-4222-8333-abcdefabcdef"
PIECES = [
    SECRET,
    SECRET.upper(),
    SECRET[:-4],
    "reader@pve!token",
    "reader@pve",
    "token",
    "reader@pam!tok-en",
    "PVEAPIToken",
]
PIECES += ["PBSAPIToken", "Authorization: ", "Basic ", "Bearer ", *"!:=;@'\" \n", "\u00e9", "{}"]
texts = st.lists(st.sampled_from(PIECES), max_size=6).map("".join)
options = st.dictionaries(
    st.sampled_from(
        ["token_id", "token_secret", "token_file", "user", "password", "second_factor", "ticket", "csrf_token"]
    ),
    texts,
    max_size=4,
)
# No more of a secret than ids and commands have of hexadecimal digits.
SHOWN = re.compile(r"0f0f0f0f|abcdefab|4222-8333", re.IGNORECASE)


@given(params=options, environ=options, header=st.none() | texts)
@settings(max_examples=examples(150))
def test_credentials_are_judged_without_showing_them(
    params: dict[str, str], environ: dict[str, str], header: str | None
) -> None:
    told = {f"PVE_{name.upper()}": text for name, text in environ.items()}
    found = credentials.judge(params, told, header)
    # Ids and paths are shown. Nobody can know that a part of one is a secret, where the whole has the right form.
    if "token_file" not in {**params, **environ} and not SHOWN.search(found.identity):
        assert not SHOWN.search(str(found.check.as_data()) + repr(found))
    if found.check.status == "passed" and found.options.get("token_id"):
        assert check_token_id(found.identity)
        assert check_secret(found.options["token_secret"])
