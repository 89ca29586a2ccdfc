"""Ed25519 keys and signatures (RFC 8032), in the formats that OpenSSL reads."""

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from lotus_unlearning.requests.canonical import write_durably

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

PRIVATE, PUBLIC = "private.pem", "public.pem"


def make_keys(folder: Path) -> None:
    """Write a new private key, for its owner's eyes only, and its public key into ``folder``."""
    from cryptography.hazmat.primitives import serialization as forms
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    folder.mkdir(mode=0o700)
    key = Ed25519PrivateKey.generate()
    secret = key.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, forms.NoEncryption())
    write_durably(folder / PRIVATE, secret, mode=0o600)
    write_durably(folder / PUBLIC, _pem(key.public_key()))


def sign(folder: Path, message: bytes) -> tuple[bytes, bytes]:
    """``(signature, public key as PEM)`` by the private key in ``folder``.

    Raises:
        ValueError: If there is none, it is no Ed25519 key, or others may read it.
    """
    key = _private(folder / PRIVATE)
    return key.sign(message), _pem(key.public_key())


def is_signed(public: bytes, signature: bytes, message: bytes) -> bool:
    """Whether ``signature`` of ``message`` is by the key ``public``, a PEM.

    Raises:
        ValueError: If ``public`` is no Ed25519 public key.
    """
    from cryptography.exceptions import InvalidSignature

    try:
        _public(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def key_fingerprint(public: bytes) -> str:
    """SHA-256 of the raw key, to compare by telephone.

    Raises:
        ValueError: If ``public`` is no Ed25519 public key.
    """
    from hashlib import sha256

    return sha256(_public(public).public_bytes_raw()).hexdigest()


def _private(path: Path) -> "Ed25519PrivateKey":
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if not path.is_file():
        raise ValueError(
            f"expected the private key of the workspace at {path}, found none; restore it from "
            "a backup: a new one would not be known to those who verify"
        )
    mode = stat.S_IMODE(os.stat(path).st_mode)
    if mode & 0o077:
        raise ValueError(f"{path}: expected mode 600, got {mode:o}; run chmod 600 {path}")
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: expected a private key in PEM: {error}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{path}: expected an Ed25519 key, got {type(key).__name__}")
    return key


def _public(pem: bytes) -> "Ed25519PublicKey":
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("expected an Ed25519 public key in PEM, got something else") from None
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError(f"expected an Ed25519 public key, got {type(key).__name__}")
    return key


def _pem(key: "Ed25519PublicKey") -> bytes:
    from cryptography.hazmat.primitives import serialization as forms

    return key.public_bytes(forms.Encoding.PEM, forms.PublicFormat.SubjectPublicKeyInfo)
