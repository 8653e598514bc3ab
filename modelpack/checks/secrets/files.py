"""Files and folders that are made to hold secrets, known by their names."""

import re

_FOLDERS = {
    ".git": "the history of a git repository",
    ".hg": "the history of a repository",
    ".svn": "the history of a repository",
    ".ssh": "keys of SSH",
    ".aws": "logins of AWS",
    ".gnupg": "keys of GnuPG",
    ".kube": "logins of Kubernetes",
    ".azure": "logins of Azure",
    ".gcloud": "logins of Google Cloud",
}
_NAMES = re.compile(
    r"\.env(?:\.(?!(?:example|sample|template|dist|schema|defaults)$).{1,64})?|\.envrc|[._]netrc|\.pypirc"
    r"|\.pgpass|\.my\.cnf|\.htpasswd|\.git-credentials|\.boto|\.s3cfg|\.vault-token|\.dockercfg"
    r"|\.dockerconfigjson|id_(?:rsa|dsa|ecdsa|ed25519)(?:_sk)?|credentials\.tfrc\.json|\.terraformrc"
    r"|application_default_credentials\.json|kubeconfig|.{1,200}\.kubeconfig"
    r"|.{1,200}\.(?:p12|pfx|jks|keystore|kdbx|ppk|tfstate|tfstate\.backup|agekey|ovpn)",
    re.IGNORECASE | re.DOTALL,
)


def reason(path: str) -> str:
    """Return why the relative `path` must not be packed, or nothing."""
    *folders, base = path.lower().split("/")
    for folder in folders:
        if folder in _FOLDERS:
            return f"lies in a folder with {_FOLDERS[folder]}"
    if base in (".git", ".hg"):
        return f"is {_FOLDERS[base]}"
    return "is a file that holds secrets" if _NAMES.fullmatch(base) else ""
