"""Images that cosign signs and attests, in each of its formats, with and without keys and logs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.sigstore.certificates import new_key, private_pem
from tests.sigstore.real import FULCIO, RealSigstore

WAYS = ("keyless", "keyless-rekor-1", "key", "key-log", "legacy-keyless", "legacy-key",
        "legacy-key-log")  # fmt: skip
"`legacy`: cosign's older format, under tags"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosigning:
    """Somebody who uses cosign."""

    real: RealSigstore
    folder: Path
    key: Path = field(init=False)
    "in cosign's own encrypted form: it signs with no other"
    public_key: Path = field(init=False)

    def __post_init__(self) -> None:
        """Make a key and import it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        plain, prefix = self.folder / "key.pem", self.folder / "imported"
        plain.write_bytes(private_pem(new_key()))
        self._cosign("import-key-pair", f"--key={plain}", f"--output-key-prefix={prefix}", "--yes")
        object.__setattr__(self, "key", Path(f"{prefix}.key"))
        object.__setattr__(self, "public_key", Path(f"{prefix}.pub"))

    def sign(self, name: str, way: str) -> None:
        """Sign an image of a registry, given by digest."""
        self._cosign("sign", "--yes", *self._how(way), name)

    def attest(
        self, name: str, way: str, predicate: Mapping[str, Any], *, kind: str = "slsaprovenance1"
    ) -> None:
        """Sign a statement about an image; `kind` is cosign's word for it, or a URI."""
        path = self.folder / "predicate.json"
        path.write_text(json.dumps(predicate), "utf-8")
        self._cosign(
            "attest", "--yes", f"--predicate={path}", f"--type={kind}", *self._how(way), name
        )

    def _how(self, way: str) -> list[str]:
        real = self.real
        options = [f"--trusted-root={real.trusted_root_file()}"]
        if "keyless" in way:
            options.append(f"--identity-token={real.token_file(real.token())}")
        else:
            options.append(f"--key={self.key}")
        if not way.startswith("legacy"):
            return [*options, f"--signing-config={self._config(way)}"]
        options += ["--new-bundle-format=false", "--use-signing-config=false"]
        if way == "legacy-key":
            return [*options, "--tlog-upload=false"]
        if way == "legacy-keyless":
            options += [f"--fulcio-url={FULCIO}", f"--oidc-issuer={real.issuer}"]
        return [*options, f"--rekor-url={real.own.url}"]

    def _config(self, way: str) -> Path:
        if way != "key":
            return self.real.signing_config_file(rekor=1 if way == "keyless-rekor-1" else 2)
        config = self.real.signing_config(timestamps=False)
        nowhere = {"caUrls": [], "oidcUrls": [], "rekorTlogUrls": []}
        config = {name: item for name, item in config.items() if not name.endswith("Config")}
        path = self.folder / "nowhere.json"
        path.write_text(json.dumps({**config, **nowhere}), "utf-8")
        return path

    def _cosign(self, *words: str) -> None:
        done = self.real.cosign(*words)
        assert done.returncode == 0, done.stderr
