"""The firewall as PVE keeps it: text files that are written after every change, and parsed again for every answer.

What a file cannot hold is lost, what looks like another line in it becomes one: the way through the text is the same
here as in PVE, so that both show the same side effects.
"""

from __future__ import annotations
