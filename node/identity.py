"""A peer's key and its peer id, without Hivemind: allow-lists are written by programs that have no need of torch.

The file is what libp2p and Hivemind keep: protobuf with a type (RSA) and the key's DER form. The peer id is the SHA-256
of the public key in the same wrapping, as a multihash in base58: the form that a CIDv0 has, too.
"""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

from client.cid import cid_of
from client.errors import ConfigError
from client.settings import write_atomically

TEAM_KEY = "team.key"
"""A team's peer keeps its key under this name in its state folder."""
KEY_BITS = 2048
_RSA = b"\x08\x00\x12"  # field 1 (type): 0, RSA; field 2 (data) follows, with its length


def prepare_identity(path: Path) -> str:
    """Make a peer's key where there is none, and say its peer id: for allow-lists that are written beforehand."""
    from cryptography.hazmat.primitives import serialization

    if not path.exists():
        with contextlib.suppress(FileExistsError):  # another process was quicker; its key counts
            write_atomically(path, _new_key(), 0o400, overwrite=False)
    try:
        key = serialization.load_der_private_key(_unwrap(path.read_bytes()), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(
            f"{path} is not the RSA key of a libp2p peer ({error}); move it away for a new one"
        ) from error
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return cid_of(hashlib.sha256(_wrap(public)).digest())


def _new_key() -> bytes:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    plain, form = serialization.NoEncryption(), serialization.PrivateFormat.TraditionalOpenSSL
    return _wrap(key.private_bytes(serialization.Encoding.DER, form, plain))


def _wrap(data: bytes) -> bytes:
    length, digits = len(data), bytearray()
    while length > 0x7F:
        digits.append(length & 0x7F | 0x80)
        length >>= 7
    return _RSA + bytes([*digits, length]) + data


def _unwrap(wrapped: bytes) -> bytes:
    """The DER form inside; ``ValueError`` for other keys than RSA."""
    rest = wrapped.removeprefix(_RSA)
    start = next((at + 1 for at, byte in enumerate(rest[:5]) if byte < 0x80), 0)
    data = rest[start:]
    if _wrap(data) != wrapped:
        raise ValueError("another kind of key, or not all of it")
    return data
