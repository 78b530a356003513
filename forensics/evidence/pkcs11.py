"""The examiner's signing key on a token (PKCS#11): a smart card, a USB token or a hardware module.

The key never leaves the token. The module that speaks to it is native code of its maker, which runs in this process.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from pyhanko.sign.signers import Signer
from pyhanko_certvalidator.registry import CertificateStore

from forensics.errors import MissingExtraError, UsageError
from forensics.evidence.certificates import printable, read_certificates
from forensics.evidence.signer import make_store, require_strength, to_asn1

_TRIAL = b"forensics: does this key belong to this certificate?"


@contextmanager
def open_token(
    module: Path,
    *,
    token: str,
    key_label: str,
    pin: str,
    certificate_label: str | None = None,
    certificate: Path | None = None,
    chain: Sequence[Path] = (),
) -> Iterator[Signer]:
    """Opens a token and yields a signer whose key stays on it; the session ends with the context.

    Args:
        module: the maker's library, such as `/usr/lib/softhsm/libsofthsm2.so`.
        token: the token's label.
        key_label: of the private key.
        pin: of the token's user; a wrong one is tried once and counts towards the token's limit.
        certificate_label: of the certificate on the token; by default the key's.
        certificate: PEM or DER of the certificate, where the token holds none.
        chain: PEM or DER files with issuers; those on the token count as well.

    Raises:
        MissingExtraError: the package python-pkcs11 is not installed.
        UsageError: module, token, PIN, key or certificate is not right.
    """
    try:
        import pkcs11 as library
        from pyhanko.config.pkcs11 import TokenCriteria
        from pyhanko.sign.pkcs11 import open_pkcs11_session
    except ImportError as error:
        raise MissingExtraError(
            "The part that speaks to PKCS#11 tokens is not installed.", "Run: pip install 'model-forensics[pkcs11]'"
        ) from error
    if not pin:
        raise UsageError("The PIN of the token is empty.", "Give the PIN of the token's user.")
    if not module.is_file():
        raise UsageError(f"There is no PKCS#11 module at {module}.", "Name the library of the token's maker.")
    shown = printable(token, 80)
    try:
        session = open_pkcs11_session(str(module), token_criteria=TokenCriteria(label=token), user_pin=pin)
    except (library.PinIncorrect, library.PinInvalid, library.PinLenRange) as error:
        raise UsageError(
            f"The PIN of the token {shown} is wrong.", "Check it: a token locks after a few tries."
        ) from error
    except library.PinLocked as error:
        raise UsageError(
            f"The PIN of the token {shown} is locked.", "Have it unlocked by its administrator."
        ) from error
    except library.PKCS11Error as error:
        raise UsageError(
            f"The token {shown} cannot be opened ({_kind(error)}).",
            "Check the module, the token's label and that it is plugged in.",
        ) from error
    try:
        yield _make_signer(session, shown, key_label, certificate_label or key_label, certificate, chain)
    finally:
        session.close()


def _make_signer(
    session: Any, token: str, key_label: str, certificate_label: str, certificate: Path | None, chain: Sequence[Path]
) -> Signer:
    from pkcs11 import Attribute, ObjectClass

    found = _certificates(session)
    leaf = _leaf(found, token, certificate_label) if certificate is None else read_certificates(certificate)[0]
    require_strength(leaf.public_key(), token)
    keys = list(session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.LABEL: key_label}))
    if len(keys) != 1:
        raise UsageError(
            f"The token {token} holds {_count(keys, 'private key')} labelled {printable(key_label, 80)}.",
            "Name one with --key-label.",
        )
    others = [each for _, each in found] + [each for path in chain for each in read_certificates(path)]
    signer = _token_signer(session, token, key_label, leaf, others)
    if not _belongs(signer, leaf):
        raise UsageError(
            f"The key {printable(key_label, 80)} and the certificate do not belong together.",
            "Name the certificate with --cert-label, or give it as a file with --certificate.",
        )
    return signer


def _token_signer(
    session: Any, token: str, key_label: str, leaf: x509.Certificate, others: Sequence[x509.Certificate]
) -> Signer:
    from pkcs11 import PKCS11Error
    from pyhanko.sign.pkcs11 import PKCS11Signer

    issuers = make_store(leaf, others)

    class TokenSigner(PKCS11Signer):  # type: ignore[misc, unused-ignore]
        @property
        def cert_registry(self) -> CertificateStore:
            """The issuers alone: pyHanko's own store holds the leaf as well, which would be embedded twice."""
            return issuers

        async def async_sign_raw(self, data: bytes, digest_algorithm: str, dry_run: bool = False) -> bytes:
            """Signs on the token, and says in a sentence why it would not."""
            try:
                signature: bytes = await super().async_sign_raw(data, digest_algorithm, dry_run)
            except PKCS11Error as error:
                raise UsageError(
                    f"The token {token} did not sign ({_kind(error)}).", "Check that the key may sign, and try again."
                ) from error
            return signature

    return TokenSigner(
        session,
        signing_cert=to_asn1(leaf),
        key_label=key_label,
        embed_roots=True,
        # Most tokens sign a digest on an elliptic curve and cannot hash for it.
        use_raw_mechanism=isinstance(leaf.public_key(), ec.EllipticCurvePublicKey),
    )


def _leaf(found: Sequence[tuple[str, x509.Certificate]], token: str, label: str) -> x509.Certificate:
    named = [each for name, each in found if name == label]
    if len(named) != 1:
        raise UsageError(
            f"The token {token} holds {_count(named, 'certificate')} labelled {printable(label, 80)}.",
            "Name one with --cert-label, or give it as a file with --certificate.",
        )
    return named[0]


def _count(found: Sequence[object], noun: str) -> str:
    return f"{len(found)} {noun}s" if found else f"no {noun}"


def _certificates(session: Any) -> list[tuple[str, x509.Certificate]]:
    """The certificates on a token with their labels; what cannot be read is none."""
    from pkcs11 import Attribute, ObjectClass

    found = []
    for each in list(session.get_objects({Attribute.CLASS: ObjectClass.CERTIFICATE})):
        try:
            found.append((str(each[Attribute.LABEL]), x509.load_der_x509_certificate(bytes(each[Attribute.VALUE]))))
        except ValueError:
            continue
    return found


def _belongs(signer: Signer, certificate: x509.Certificate) -> bool:
    """Whether the certificate's key verifies what the token's key signs."""
    key = certificate.public_key()
    signature = asyncio.run(signer.async_sign_raw(_TRIAL, "sha256"))
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, _TRIAL, padding.PKCS1v15(), hashes.SHA256())
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, _TRIAL, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def _kind(error: Exception) -> str:
    """The kind of a token's error; its text is often empty."""
    return printable(str(error), 80) or type(error).__name__
