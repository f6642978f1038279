"""Certificates of a test's own, made by Debian's openssl."""

import subprocess
from pathlib import Path


class Certificates:
    """An authority, and what it has signed: `server` for 127.0.0.1 and localhost, `client`. In files of `folder`.

    `names`: what the server's certificate is for instead.
    """

    def __init__(self, folder: Path, *, names: str = "IP:127.0.0.1,DNS:localhost") -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self.authority = self._make("authority")
        self.server = self._make("server", f"subjectAltName={names}", signed=True)
        self.client = self._make("client", signed=True)

    def _make(self, name: str, *extensions: str, signed: bool = False) -> tuple[Path, Path]:
        """(certificate, key)"""
        certificate, key = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        signer = ["-CA", str(self.authority[0]), "-CAkey", str(self.authority[1])] if signed else []
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
            + ["-subj", f"/CN=tannoy {name}", "-keyout", str(key), "-out", str(certificate), *signer]
            + [word for extension in extensions for word in ("-addext", extension)],
            check=True,
            capture_output=True,
        )
        return certificate, key

    @property
    def configuration(self) -> tuple[str, ...]:
        """Lines for a server, but for its port: it asks clients for a certificate too."""
        certificate, key = self.server
        return (
            f"tls-cert-file {certificate}",
            f"tls-key-file {key}",
            f"tls-ca-cert-file {self.authority[0]}",
            "tls-auth-clients yes",
        )

    @property
    def parameters(self) -> str:
        """For the URL of a client with a certificate."""
        certificate, key = self.client
        return f"ssl_ca_certs={self.authority[0]}&ssl_certfile={certificate}&ssl_keyfile={key}"

    @property
    def options(self) -> dict[str, object]:
        """The same for redis-py."""
        certificate, key = map(str, self.client)
        return {
            "ssl": True,
            "ssl_ca_certs": str(self.authority[0]),
            "ssl_certfile": certificate,
            "ssl_keyfile": key,
        }
