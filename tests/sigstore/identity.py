"""An OpenID Connect issuer on loopback: who somebody is, as tokens that Fulcio accepts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from tests.sigstore.certificates import new_key

AUDIENCE = "sigstore"
SOMEBODY = "ci@modelpack.test"
_LIFETIME = 600
_KEY = "1"


@dataclass
class Issuer:
    """Mints ES256 tokens for people, and for jobs as GitHub's runners get them."""

    url: str
    clock: Callable[[], float]
    key: ec.EllipticCurvePrivateKey = field(default_factory=new_key)

    def token(self, identity: str = SOMEBODY, **claims: object) -> str:
        """Return a token for the holder of an e-mail address; `claims` come on top."""
        mine = {"sub": identity, "email": identity, "email_verified": True}
        return self._signed({**mine, **claims})

    def job_token(
        self,
        repository: str = "acme/minilm",
        *,
        ref: str = "refs/heads/main",
        workflow: str = ".github/workflows/release.yml",
        commit: str = "0123456789abcdef0123456789abcdef01234567",
        run: str = "7",
        **claims: object,
    ) -> str:
        """Return a token for a job of a workflow, with the claims of GitHub Actions."""
        owner = repository.partition("/")[0]
        mine = {
            "sub": f"repo:{repository}:ref:{ref}",
            "repository": repository,
            "repository_id": "1001",
            "repository_owner": owner,
            "repository_owner_id": "1000",
            "repository_visibility": "public",
            "ref": ref,
            "sha": commit,
            "event_name": "push",
            "workflow": "release",
            "workflow_ref": f"{repository}/{workflow}@{ref}",
            "workflow_sha": commit,
            "job_workflow_ref": f"{repository}/{workflow}@{ref}",
            "job_workflow_sha": commit,
            "runner_environment": "github-hosted",
            "run_id": run,
            "run_attempt": "1",
        }
        return self._signed({**mine, **claims})

    def pipeline_token(
        self,
        project: str = "acme/minilm",
        *,
        branch: str = "main",
        commit: str = "0123456789abcdef0123456789abcdef01234567",
        **claims: object,
    ) -> str:
        """Return a token for a job of a pipeline, with the claims of GitLab CI."""
        mine = {
            "sub": f"project_path:{project}:ref_type:branch:ref:{branch}",
            "project_path": project,
            "ref": branch,
            "ref_type": "branch",
            "sha": commit,
            "ci_config_ref_uri": f"gitlab.com/{project}//.gitlab-ci.yml@refs/heads/{branch}",
            "runner_environment": "gitlab-hosted",
            "pipeline_source": "push",
            "job_id": "2",
        }
        return self._signed({**mine, **claims})

    def claims(self, token: str) -> Mapping[str, Any]:
        """Return what a token says; raise where it is not one of ours, for Sigstore, and fresh."""
        return jwt.decode(
            token, self.key.public_key(), algorithms=["ES256"], audience=AUDIENCE,
            issuer=self.url, options={"verify_exp": False, "verify_iat": False,
                                      "verify_nbf": False, "require": ["exp", "sub"]},
        )  # fmt: skip

    def discovery(self) -> dict[str, Any]:
        """Return the document by which clients and Fulcio find the keys."""
        return {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/jwks",
            "authorization_endpoint": f"{self.url}/auth",
            "token_endpoint": f"{self.url}/token",
            # without it go-oidc takes RS256 only
            "id_token_signing_alg_values_supported": ["ES256"],
        }

    def keys(self) -> dict[str, Any]:
        """Return the keys that tokens are signed with."""
        key = jwt.algorithms.ECAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return {"keys": [{**key, "kid": _KEY, "alg": "ES256", "use": "sig"}]}

    def _signed(self, claims: Mapping[str, object]) -> str:
        now = int(self.clock())
        times = {"iat": now, "nbf": now, "exp": now + _LIFETIME}
        content = {"iss": self.url, "aud": AUDIENCE, **times, **claims}
        return jwt.encode(content, self.key, algorithm="ES256", headers={"kid": _KEY})
