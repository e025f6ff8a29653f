"""Signatures of small texts in Redis and in files: HMAC-SHA256, each for one purpose alone."""

from __future__ import annotations

import hashlib
import hmac
import json

_LEAST = 16  # bytes of a key


class Signer:
    """Signs texts, and tells whether a signature is of the same key, purpose and texts.

    Parameters
    ----------
    key
        At least 16 bytes.
    purpose
        Named in what is signed: a signature for one purpose fits no other.

    Raises
    ------
    ValueError
        When the key is too short.

    Examples
    --------
    >>> plans = Signer(b"0123456789abcdef", "plan")
    >>> signature = plans.sign("shop", "3f2a")
    >>> plans.fits(signature, "shop", "3f2a"), plans.fits(signature, "shop", "3f2b")
    (True, False)
    >>> Signer(b"0123456789abcdef", "epoch").fits(signature, "shop", "3f2a")
    False
    """

    def __init__(self, key: bytes, purpose: str) -> None:
        if len(key) < _LEAST:
            raise ValueError(f"the key has {len(key)} bytes; use {_LEAST} random ones or more")
        self._key, self._purpose = key, purpose

    def sign(self, *texts: str) -> str:
        """Return the signature of some texts, in hex."""
        message = json.dumps([self._purpose, *texts]).encode()
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()

    def fits(self, signature: object, *texts: str) -> bool:
        """Whether a signature, which may be anything, is that of these texts."""
        if not isinstance(signature, str) or not signature.isascii():
            return False
        return hmac.compare_digest(self.sign(*texts), signature)


def derived_key(key: bytes, purpose: str) -> bytes:
    """Return a key for one purpose that does not tell the key it is made of.

    >>> len(derived_key(b"0123456789abcdef", "plans"))
    64
    """
    return hmac.new(key, f"headrace key: {purpose}".encode(), hashlib.sha256).hexdigest().encode()
