"""How drift is told, of whatever it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..findings import Judgement

MISSING, UNEXPECTED, DIFFERENT, REFUSED = "drift_missing", "drift_unexpected", "drift_different", "policy_refused"
RULES = (MISSING, UNEXPECTED, DIFFERENT, REFUSED)
APPLY = "Apply the policy with homelab.pve.site"
# Why applying a policy does not put right what it leaves open.
LEFT_ALONE = "applying it leaves that alone."
Fields = Mapping[str, Any]


def tell_missing(
    judgement: Judgement, subject: str, path: str, what: str, expected: Any, also: str = "", *, apart: str = ""
) -> None:
    """Write down that something declared is not there; ``also`` is what else there is to know for putting it right."""
    judgement.find(
        MISSING,
        subject,
        path,
        f"{capital(what)} is declared, and not there.",
        expected=expected,
        fix=_sentences(f"{APPLY} to make it, or take it out of the policy.", also),
        apart=apart,
    )


def tell_unexpected(
    judgement: Judgement,
    subject: str,
    path: str,
    what: str,
    found: Any,
    *,
    absent: bool = False,
    also: str = "",
    fix: str = "",
    apart: str = "",
) -> None:
    """Write down that something is there that is not declared, or (``absent``) that is declared not to be there.

    ``fix`` is for where applying the policy as it is does not help; ``also`` is what else there is to know.
    """
    if absent:
        said = f"{capital(what)} is there, and the policy says that it must not be."
        fix = fix or f"{APPLY} to take it away, or take 'state: absent' out of the policy."
    else:
        said = f"{capital(what)} is there, and is not declared, where only what is declared may be."
        fix = fix or f"{APPLY} to take it away, or declare it."
    judgement.find(UNEXPECTED, subject, path, said, found=found, fix=_sentences(fix, also), apart=apart)


def tell_open(judgement: Judgement, subject: str, path: str, what: str, found: Fields) -> None:
    """Write down the fields of something that the policy leaves open, where only what is declared may be."""
    judgement.find(
        UNEXPECTED,
        subject,
        path,
        f"{capital(what)} has what is not declared, where only what is declared may be: {told_fields(found)}.",
        found=dict(found),
        fix="Declare it as it is, or as it is to be (a text that is to go as ''), and apply the policy: what it leaves "
        "out, that leaves alone.",
    )


def told_fields(fields: Fields) -> str:
    """Return fields in words: ``source is 10.0.0.1 and enable is off``."""
    return " and ".join(f"{name} is {_shown(value)}" for name, value in fields.items())


def tell_different(
    judgement: Judgement,
    subject: str,
    path: str,
    what: str,
    found: Fields,
    expected: Fields,
    also: str = "",
    *,
    apart: str = "",
) -> None:
    """Write down in which fields something differs (see ``differing``)."""
    judgement.find(
        DIFFERENT,
        subject,
        path,
        f"{capital(what)} is other than declared: {'; '.join(_told(found, expected))}.",
        expected=dict(expected),
        found=dict(found),
        fix=_sentences(f"{APPLY} to change it back, or declare it as it is.", also),
        apart=apart,
    )


def tell_refused(judgement: Judgement, subject: str, path: str, said: str, fix: str, *, expected: Any = None) -> None:
    """Write down what of the policy cannot be applied."""
    judgement.find(REFUSED, subject, path, said, expected=expected, fix=fix or "Correct the policy.")


def differing(found: Fields, expected: Fields) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the fields that differ, as they are found and as they are expected; one that is not there is None."""
    names = [name for name in {**found, **expected} if found.get(name) != expected.get(name)]
    return {name: found.get(name) for name in names}, {name: expected.get(name) for name in names}


def _told(found: Fields, expected: Fields) -> Iterable[str]:
    for name, meant in expected.items():
        has = found[name]
        if has == meant:
            continue
        if isinstance(meant, list) and isinstance(has, list):
            lacks = ", ".join(str(one) for one in meant if one not in has)
            more = ", ".join(str(one) for one in has if one not in meant)
            parts = [f"lacks {lacks}" if lacks else "", f"has {more} besides" if more else ""]
            yield f"{name} {' and '.join(part for part in parts if part) or 'are in another order'}"
        else:
            yield f"{name} is {_shown(has)}, not {_shown(meant)}"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "not set" if value in (None, "") else str(value)


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _sentences(*parts: str) -> str:
    return " ".join(part for part in parts if part)
