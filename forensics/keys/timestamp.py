"""Timestamp tokens (RFC 3161): getting them, verifying them, and the salt that they give to a key.

The salt covers exactly what the authority signed: the TSTInfo, the signed attributes and the signature in
one form. The rest of a token (certificates, unsigned attributes) can be altered at will and changes no secret.
"""

import hashlib
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Protocol
from urllib.parse import urlsplit

from asn1crypto import cms, core, tsp
from cryptography.x509.oid import NameOID

from forensics.errors import AuthorityError, UsageError
from forensics.keys.cms import CmsError, TimestampToken, accepted_form, read_timestamp

DEMONSTRATION = "forensics demonstration"
"""Organisation in the subject of every certificate of a demonstration authority."""

_LARGEST_RESPONSE = 256 * 1024
_REPLY_TYPES = ("application/timestamp-reply", "application/timestamp-response")
_GRANTED = ("granted", "granted_with_mods")


class TimestampAuthority(Protocol):
    """Whoever can date a digest."""

    @property
    def name(self) -> str:
        """For messages and records; holds no credentials."""
        ...

    def stamp(self, digest: bytes) -> bytes:
        """Returns a verified token (DER) over a SHA-256 digest of 32 bytes.

        Raises:
            AuthorityError: the authority could not be reached, refused, or its token does not verify.
        """
        ...


@dataclass(frozen=True)
class Token:
    """A verified timestamp over a SHA-256 digest; nothing is said about trust in the authority.

    Attributes:
        gen_time: UTC.
        policy: dotted object identifier.
        authority: subject of the authority's certificate (RFC 4514).
        fingerprint: SHA-256 of that certificate, 64 hexadecimal digits.
        demonstration: the certificate's only organisation is `DEMONSTRATION`.
        token: the token's parts.
    """

    gen_time: datetime
    policy: str
    serial: int
    authority: str
    fingerprint: str
    demonstration: bool
    token: TimestampToken


def verify_token(der: bytes, digest: bytes) -> Token:
    """Verifies a token over a SHA-256 digest; see `cms.read_timestamp`.

    Raises:
        CmsError: any of it fails, or any byte was changed.
    """
    token = read_timestamp(der, lambda name: digest if name == "sha256" else b"")
    signer = token.signed.signer
    organisations = [name.value for name in signer.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    return Token(
        gen_time=token.gen_time,
        policy=token.policy,
        serial=token.serial,
        authority=signer.subject.rfc4514_string(),
        fingerprint=token.signed.fingerprint,
        demonstration=organisations == [DEMONSTRATION],
        token=token,
    )


def token_salt(tokens: Sequence[Token]) -> bytes:
    """Returns the salt of a dated key, 32 bytes: SHA-256 over what its authorities signed, in the claim's order.

    Source: ours. "forensics/v1/tst", then for each token len || DER(TSTInfo) || len || DER(signed attributes as
    SET) || len || signature, lengths as eight bytes, big-endian.

    Raises:
        ValueError: there is no token; see `self_dated_salt`.
    """
    if not tokens:
        raise ValueError("a salt needs a token")
    state = hashlib.sha256(b"forensics/v1/tst")
    for token in tokens:
        signed = token.token.signed
        for part in (token.token.tst_info, signed.signed_attributes_der, signed.signature):
            state.update(len(part).to_bytes(8, "big") + part)
    return state.digest()


def self_dated_salt(claim_digest: bytes) -> bytes:
    """Returns the salt of a key without timestamp: SHA-256("forensics/v1/self-dated" || C), C of 32 bytes."""
    return hashlib.sha256(b"forensics/v1/self-dated" + claim_digest).digest()


class HttpAuthority:
    """A timestamp authority behind a URL (RFC 3161, section 3.4).

    Args:
        url: http or https; user and password in it are used and never shown.
        timeout: seconds to connect, for each wait, and for the whole answer.

    Raises:
        UsageError: not such a URL.
    """

    def __init__(self, url: str, timeout: float = 20.0) -> None:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = None
        if host is None or parts.scheme not in ("http", "https"):
            raise UsageError(
                "The address of the timestamp authority is no http or https URL.",
                "Give it as --tsa https://host/path.",
            )
        self._url, self._timeout = url, timeout
        self._name = f"{parts.scheme}://{host}{f':{port}' if port else ''}{parts.path}"

    def __repr__(self) -> str:
        return f"HttpAuthority({self._name!r})"

    @property
    def name(self) -> str:
        """The URL without user, password, query and fragment."""
        return self._name

    def stamp(self, digest: bytes) -> bytes:
        """Asks for a token and verifies it; see `TimestampAuthority.stamp`.

        What cannot be verified in it (unsigned attributes, stray certificates) is left out.
        """
        nonce = secrets.randbits(63) | 1 << 63
        request = timestamp_request(digest, nonce)
        der = self._token(self._post(request.dump()))
        try:
            der = accepted_form(der)
            token = verify_token(der, digest)
        except CmsError as error:
            raise self._error(f"sent a token that does not verify ({error.detail})") from error
        if tsp.TSTInfo.load(token.token.tst_info)["nonce"].native != nonce:
            raise self._error("sent the answer to another request (its nonce differs)")
        return der

    def _post(self, body: bytes) -> bytes:
        import httpx2

        headers = {"content-type": "application/timestamp-query", "accept-encoding": "identity"}
        deadline = time.monotonic() + self._timeout
        try:
            with (
                httpx2.Client(timeout=self._timeout) as client,
                client.stream("POST", self._url, content=body, headers=headers) as response,
            ):
                if response.status_code != 200:
                    raise self._error(f"answered with HTTP status {response.status_code}")
                kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
                if kind not in _REPLY_TYPES:
                    raise self._error("answered with something else than a timestamp reply")
                received = bytearray()
                for chunk in response.iter_raw():
                    received += chunk
                    if len(received) > _LARGEST_RESPONSE:
                        raise self._error(f"sent more than {_LARGEST_RESPONSE} bytes")
                    if time.monotonic() > deadline:
                        raise self._error(f"did not answer within {self._timeout:g} seconds")
                return bytes(received)
        except httpx2.TimeoutException as error:
            raise self._error(f"did not answer within {self._timeout:g} seconds") from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise self._error(f"could not be reached ({type(error).__name__})") from error

    def _token(self, body: bytes) -> bytes:
        try:
            response = _Response.load(body, strict=True)
            status = response["status"]["status"].native
            token: bytes = response["time_stamp_token"].dump()
            words = " ".join(response["status"]["status_string"].native or [])
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
            raise self._error("answered with bytes that are no timestamp reply") from error
        if status not in _GRANTED or not token:
            shown = re.sub(r"[^ -~]", "?", words)[:200]
            raise self._error(f"refused ({status}{': ' + shown if shown else ''})")
        return token

    def _error(self, what: str) -> AuthorityError:
        return AuthorityError(
            f"The timestamp authority {self._name} {what}.",
            "Try again later, check the address, or name another authority with --tsa.",
        )


def timestamp_request(digest: bytes, nonce: int) -> tsp.TimeStampReq:
    """Returns a request for a token over a SHA-256 digest, with the authority's certificate.

    Raises:
        ValueError: the digest is not 32 bytes long.
    """
    if len(digest) != 32:
        raise ValueError("a SHA-256 digest has 32 bytes")
    imprint = {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": digest}
    return tsp.TimeStampReq({"version": "v1", "message_imprint": imprint, "nonce": nonce, "cert_req": True})


class _Response(core.Sequence):  # type: ignore[misc]
    """TimeStampResp; asn1crypto's own does not know that a refusal holds no token."""

    _fields: ClassVar = [("status", tsp.PKIStatusInfo), ("time_stamp_token", cms.ContentInfo, {"optional": True})]
