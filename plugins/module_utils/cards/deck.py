"""All cards of a policy: as data for results, which is without secrets, and as files, which may have them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..access.document import Document
from ..access.observe import observe
from ..client.errors import OptionError
from ..client.http import Client
from ..secret_file import read_secret
from ..wording import some_of
from .card import Card, cards, server_of
from .formats import FORMATS, file_name, suited

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True)
class Wanted:
    """Which readers get a card, in which formats (None for those that suit each), and whether files show the secret.

    ``dest`` is the folder for files, None without files.
    """

    readers: Sequence[Mapping[str, Any]]
    formats: Sequence[str] | None = None
    dest: str | None = None
    show_secret: bool = False

    @classmethod
    def of(cls, params: Mapping[str, Any], readers: Sequence[Mapping[str, Any]]) -> Wanted:
        """Read the module's options. Raises OptionError."""
        only, formats, dest = params["only"], params["formats"], params["dest"]
        unknown = sorted(set(only or ()) - {raw["token"] for raw in readers})
        if unknown:
            raise OptionError(f"only: the policy has no reader {some_of(unknown)}.", "Name tokens of its readers.")
        if params["show_secret"] and not dest:
            raise OptionError(
                "show_secret: secrets are shown in files alone, never in a result.",
                "Give dest, a folder of mode 0700; or take the secret from its file, which each card names.",
            )
        chosen = [raw for raw in readers if only is None or raw["token"] in only]
        return cls(chosen, formats, dest, params["show_secret"])


def deal(client: Client, wanted: Wanted, now: float) -> list[Card]:
    """Return the cards, without secrets. Asks PVE for what it takes to know of tokens and roles."""
    view = observe(client, Document(), now)
    return list(cards(wanted.readers, server_of(client.options), view))


def as_data(dealt: Iterable[Card], wanted: Wanted) -> list[dict[str, Any]]:
    """Return the cards as the module returns them."""
    return [
        {**card.as_data(), "text": FORMATS["text"].render(card), "formats": {n: FORMATS[n].render(card) for n in names}}
        for card in dealt
        for names in [wanted.formats if wanted.formats is not None else suited(card)]
    ]


def as_files(dealt: Iterable[Card], wanted: Wanted) -> Iterator[tuple[str, str]]:
    """Yield path and text of each file. Raises OptionError where a secret would be open to others, or is not there."""
    if not wanted.dest:
        return
    if wanted.show_secret:
        _check_closed(wanted.dest)
    for card in dealt:
        names = wanted.formats if wanted.formats is not None else suited(card)
        secret = read_secret(card.secret_file) if wanted.show_secret and card.secret_file else None
        full = replace(card, secret=secret)
        for name in dict.fromkeys(["text", *names]):
            yield os.path.join(wanted.dest, file_name(card, name)), FORMATS[name].render(full)


def warnings(wanted: Wanted) -> Iterator[str]:
    """Yield what to mind about the files."""
    if not (wanted.dest and wanted.show_secret):
        return
    path = above = os.path.realpath(os.path.expanduser(wanted.dest))
    while not os.path.lexists(os.path.join(above, ".git")):
        if os.path.dirname(above) == above:
            return
        above = os.path.dirname(above)
    yield (
        f"{path} is in the Git checkout {above}, and gets cards with secrets: keep them out of it (.gitignore), or "
        "give a folder elsewhere."
    )


def _check_closed(folder: str) -> None:
    """Refuse a folder that others can look into, or that is not there, and files in it that are open to others."""
    path = os.path.expanduser(folder)
    hint = f"Run: mkdir -p -m 700 {folder}"
    try:
        status = os.lstat(path)
        if not stat.S_ISDIR(status.st_mode):
            raise OptionError(f"dest: {folder} is no folder of its own.", hint)
        if status.st_uid != os.geteuid() or status.st_mode & _OTHERS:
            raise OptionError(
                f"dest: {folder} is open to others (mode {stat.S_IMODE(status.st_mode):04o}), or not yours.",
                f"Cards with secrets are kept from others. Run: chmod 700 {folder}",
            )
        with os.scandir(path) as entries:
            # What is in folders is not written to.
            files = [one for one in entries if not one.is_dir(follow_symlinks=False)]
            wrong = sorted(one.name for one in files if one.is_symlink() or one.stat().st_mode & _OTHERS)
    except FileNotFoundError:
        raise OptionError(f"dest: {folder} does not exist.", hint) from None
    except OSError as error:
        raise OptionError(f"dest: {folder} cannot be looked into: {error.strerror}.") from None
    if wrong:
        raise OptionError(
            f"dest: {some_of(wrong)} in {folder} is a link, or open to others; a file that is there keeps its mode.",
            "Remove it, or give another folder.",
        )
