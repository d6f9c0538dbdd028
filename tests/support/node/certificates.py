"""The node's certificate authority and everybody's certificates, made anew for each node."""

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_LIFETIME = datetime.timedelta(days=30)
_SERVER_NAMES = (
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
)
_SIGNS = x509.KeyUsage(
    digital_signature=True,
    key_cert_sign=True,
    crl_sign=True,
    **dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False
    ),
    encipher_only=False,
    decipher_only=False,
)
_SERVER_ADDRESSES = ("127.0.0.1", "10.96.0.1")


@dataclass(frozen=True)
class KeyPair:
    """The files of a certificate and its private key."""

    certificate: Path
    key: Path


class CertificateAuthority:
    """Signs the certificates of the node's servers and clients, all in one folder.

    :param names: by which the servers are reached, too.
    :param addresses: by which they are reached, too.
    """

    def __init__(
        self, folder: Path, names: Sequence[str] = (), addresses: Sequence[str] = ()
    ) -> None:
        self._folder = folder
        self._server_names = (*_SERVER_NAMES, *names)
        self._server_addresses = (*_SERVER_ADDRESSES, *addresses)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "flowjob test node")])
        self.certificate = folder / "ca.crt"
        builder = self._builder(self._name, self._key)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        builder = builder.add_extension(_SIGNS, True)
        identifier = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        builder = builder.add_extension(identifier, False)
        certificate = builder.sign(self._key, hashes.SHA256())
        self.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, file_name: str, user: str, group: str | None = None) -> KeyPair:
        """Write a certificate that serves this machine and signs in as `user` of `group`."""
        key = ec.generate_private_key(ec.SECP256R1())
        attributes = [x509.NameAttribute(NameOID.COMMON_NAME, user)]
        if group is not None:
            attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, group))
        names: list[x509.GeneralName] = [x509.DNSName(name) for name in self._server_names]
        names += [x509.IPAddress(ipaddress.ip_address(text)) for text in self._server_addresses]
        builder = self._builder(x509.Name(attributes), key)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
        # Which Python 3.13 asks for.
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = builder.add_extension(issuer, False)
        certificate = builder.sign(self._key, hashes.SHA256())
        pair = KeyPair(self._folder / f"{file_name}.crt", self._folder / f"{file_name}.key")
        pair.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        _write_private_key(key, pair.key)
        return pair

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey
    ) -> x509.CertificateBuilder:
        # An hour back, since clocks of machines that were just resumed may jump.
        start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + _LIFETIME)
        )


def write_signing_key(folder: Path, file_name: str) -> KeyPair:
    """Write a bare key pair, with which service account tokens are signed and checked."""
    key = ec.generate_private_key(ec.SECP256R1())
    pair = KeyPair(folder / f"{file_name}.pub", folder / f"{file_name}.key")
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    pair.certificate.write_bytes(public)
    _write_private_key(key, pair.key)
    return pair


def _write_private_key(key: ec.EllipticCurvePrivateKey, path: Path) -> None:
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
