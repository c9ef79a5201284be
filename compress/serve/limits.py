"""What the server allows a client: the work of a request, its size, and the time to send and to take it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds of one request, of one client and of all of them together."""

    items: int = 256
    """Items in a request."""
    item_characters: int = 32_768
    """Characters of one item's texts together; models cut them at some hundred tokens anyway."""
    characters: int = 524_288
    """Characters of all items of a request."""
    prompt_tokens: int = 4096
    """Tokens of a prompt, the template's among them."""
    new_tokens: int = 1024
    """Tokens that a decoder writes for one request."""
    compute_s: float = 60.0
    """Seconds of computing for one request, its waiting not among them."""

    body_bytes: int = 16 * 2**20
    """Bytes of a request's body."""
    containers: int = 262_144
    """Lists and mappings of a body: an empty one takes thirty times its bytes in memory."""
    held_bytes: int = 256 * 2**20
    """Bytes of the bodies of all requests that are read, waiting or being answered."""

    patience_s: float = 20.0
    """Seconds in which a client must have sent a request's head, and after it the body; three times as
    many are given to take the answer."""
    connections: int = 256
    """Open connections; where one more comes, the one that has been silent for longest makes room."""

    workers: int = 2
    """Parts of requests that are computed at the same time."""
    active: int = 8
    """Requests that take turns in being computed: each of a decoder's has a cache of keys and values."""
    waiting: int = 256
    """Requests that wait to be among those; more are told to come again."""
