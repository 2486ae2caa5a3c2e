"""Replays recorded conversations with PVE's API against a fresh simulator."""
