"""What keys and tokens look like: one pattern per issuer, each linear in the length of the text.

Every pattern begins at a fixed word or at a boundary and repeats only within bounds, so that no
line, however long, takes more than a constant time per byte.
"""

import re
from typing import NamedTuple


class Rule(NamedTuple):
    """A pattern for one kind of secret; the group `secret`, or all of it, is what must not leak."""

    name: str
    says: str
    words: tuple[str, ...]
    "lowercase; text that holds none of them is not searched"
    pattern: str
    "compiled on first use, which `re` remembers: most texts hold no word of most rules"
    chosen: bool = False
    "whether people choose the secret, so that it may be a word or a reference to one"


_BOUNDARY = "[A-Za-z0-9_-]"
_LITERAL = re.compile(r"[A-Za-z0-9_-]*(?![{?*])")


def _token(name: str, says: str, words: tuple[str, ...], body: str) -> Rule:
    """Make a rule for a token that stands alone, with its own prefix.

    The boundary is looked for behind the prefix, so that the search is one for a fixed word.
    """
    literal = _LITERAL.match(body)
    prefix = literal.group() if literal else ""
    boundary = f"(?<!{_BOUNDARY}{prefix})"
    token = f"{prefix}{boundary}{body[len(prefix) :]}"
    return Rule(name, says, words, f"(?P<secret>{token})(?!{_BOUNDARY})")


def _text(name: str, says: str, words: tuple[str, ...], body: str) -> Rule:
    """Make a rule for a secret within some text."""
    return Rule(name, says, words, body)


def _login(name: str, says: str, words: tuple[str, ...], body: str) -> Rule:
    """Make a rule for a secret that people choose, within some text."""
    return Rule(name, says, words, body, chosen=True)


_PEM = (
    r"-----BEGIN (?:[A-Z0-9]{1,16} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
    r"(?:\\r|\\n|[\s\"'+,]){0,24}(?:[\w-]{1,30}: [^\n]{0,80}\n\s{0,4}){0,4}"
    r"(?P<secret>[A-Za-z0-9+/]{32})"
)

RULES: tuple[Rule, ...] = (
    _text("private-key", "a private key", ("private key",), _PEM),
    _token("aws-key", "an AWS access key", ("akia",), r"AKIA[A-Z2-7]{16}"),
    _token("aws-key", "an AWS access key", ("asia",), r"ASIA[A-Z2-7]{16}"),
    _text(
        "aws-secret",
        "an AWS secret key",
        ("aws",),
        r"(?i:aws[\w .-]{0,24}(?:secret|sk)[\w .-]{0,24}[\"']?\s{0,3}[=:>]{1,2}\s{0,3}[\"']?)"
        r"(?P<secret>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])",
    ),
    _token("google-key", "a Google API key", ("aiza",), r"AIza[0-9A-Za-z_-]{35}"),
    _token("google-oauth", "a Google OAuth secret", ("gocspx-",), r"GOCSPX-[0-9A-Za-z_-]{28}"),
    _token("google-token", "a Google access token", ("ya29.",), r"ya29\.[0-9A-Za-z_-]{30,512}"),
    _text(
        "google-service-account",
        "a Google service account",
        ("private_key_id",),
        r"\"private_key_id\"\s{0,4}:\s{0,4}\"(?P<secret>[0-9a-f]{40})\"",
    ),
    _text(
        "azure-key",
        "an Azure account or shared access key",
        ("accountkey=", "sharedaccesskey="),
        r"(?:AccountKey|SharedAccessKey)=(?P<secret>[A-Za-z0-9+/]{43,86}={1,2})",
    ),
    _text(
        "azure-signature",
        "an Azure shared access signature",
        ("sig=",),
        r"[?&;]sig=(?P<secret>[A-Za-z0-9%+/]{43,90}(?:%3[Dd]|=))",
    ),
    _text(
        "azure-client-secret",
        "an Azure client secret",
        ("8q~",),
        r"(?<![\w~.-])(?P<secret>[\w~.]{3}8Q~[\w~.-]{34})(?![\w~.-])",
    ),
    _token("github-token", "a GitHub token", ("gh",), r"gh[pousr]_[A-Za-z0-9]{36,255}"),
    _token("github-token", "a GitHub token", ("github_pat_",), r"github_pat_\w{60,255}"),
    _token(
        "gitlab-token",
        "a GitLab token",
        ("gl",),
        r"gl(?:pat|dt|rt|cbt|ptt|ft|imt|oas|soat|agent)-[0-9A-Za-z_.-]{20,128}",
    ),
    _token(
        "slack-token", "a Slack token", ("xox", "xapp-"), r"x(?:ox[a-z]|app)-[\dA-Za-z-]{16,200}"
    ),
    _text(
        "slack-webhook",
        "a Slack webhook",
        ("hooks.slack.com",),
        r"hooks\.slack\.com/(?:services|workflows)/(?P<secret>[A-Z0-9]{6,16}/[A-Z0-9]{6,16}/\w{16,48})",
    ),
    _text(
        "discord-webhook",
        "a Discord webhook",
        ("/api/webhooks/",),
        r"discord(?:app)?\.com/api/webhooks/\d{10,20}/(?P<secret>[\w-]{50,90})",
    ),
    _token("huggingface-token", "a Hugging Face token", ("hf_",), r"hf_[A-Za-z0-9]{30,64}"),
    _token("huggingface-token", "a Hugging Face token", ("api_org_",), r"api_org_[A-Za-z]{30,64}"),
    _token("anthropic-key", "an Anthropic key", ("sk-ant-",), r"sk-ant-[\w-]{20,200}"),
    _token(
        "openai-key",
        "an OpenAI key",
        ("sk-",),
        r"sk-(?:(?:proj|svcacct|admin)-[\w-]{20,200}|[A-Za-z0-9]{32,64}|or-v1-[0-9a-f]{40,64})",
    ),
    _token("stripe-key", "a Stripe key", ("sk_",), r"sk_(?:live|test)_[0-9A-Za-z]{16,128}"),
    _token("stripe-key", "a Stripe key", ("rk_",), r"rk_(?:live|test)_[0-9A-Za-z]{16,128}"),
    _token("stripe-webhook", "a Stripe signing secret", ("whsec_",), r"whsec_[0-9A-Za-z]{24,64}"),
    _token("npm-token", "an npm token", ("npm_",), r"npm_[A-Za-z0-9]{36}"),
    _token("pypi-token", "a PyPI token", ("pypi-",), r"pypi-Ag[\w-]{50,400}"),
    _token("docker-token", "a Docker token", ("dckr_",), r"dckr_[po]at_[\w-]{20,64}"),
    _token("sendgrid-key", "a SendGrid key", ("sg.",), r"SG\.[\w-]{16,32}\.[\w-]{32,64}"),
    _token("digitalocean-token", "a DigitalOcean token", ("do",), r"do[opr]_v1_[0-9a-f]{64}"),
    _token("databricks-token", "a Databricks token", ("dapi",), r"dapi[0-9a-f]{32}(?:-\d)?"),
    _token("groq-key", "a Groq key", ("gsk_",), r"gsk_[A-Za-z0-9]{40,64}"),
    _token("replicate-token", "a Replicate token", ("r8_",), r"r8_[A-Za-z0-9]{37}"),
    _token("vault-token", "a Vault token", ("hv",), r"hv[sbr]\.[\w-]{24,300}"),
    _token(
        "terraform-token", "a Terraform token", (".atlasv1.",), r"\w{14}\.atlasv1\.[\w-]{60,80}"
    ),
    _token("telegram-token", "a Telegram bot token", (":aa",), r"\d{8,10}:AA[\w-]{33}"),
    _token("grafana-token", "a Grafana token", ("gl",), r"gl(?:sa|c)_[A-Za-z0-9+/=_]{32,200}"),
    _token("linear-key", "a Linear key", ("lin_api_",), r"lin_api_[A-Za-z0-9]{40}"),
    _token("shopify-token", "a Shopify token", ("shp",), r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}"),
    _token("age-key", "an age secret key", ("age-secret-key-",), r"AGE-SECRET-KEY-1[0-9A-Z]{58}"),
    _text(
        "jwt",
        "a JSON web token",
        ("eyj",),
        r"(?<![\w-])(?P<secret>eyJ[\w-]{8,2000}\.eyJ[\w-]{8,4000}\.[\w-]{10,1000})(?![\w-])",
    ),
    _login(
        "authorization",
        "credentials of an HTTP header",
        ("authorization",),
        r"(?i:authorization[\"']?\s{0,3}[:=,]\s{0,3}[\"']?(?:bearer|basic|token)\s{1,3})"
        r"(?P<secret>[\w.~+/-]{16,400}={0,2})",
    ),
    _login(
        "url-credentials",
        "credentials in a URL",
        ("://",),
        r"://[^\s/:@\"'`<>|,\\]{0,100}:(?P<secret>[^\s/@\"'`<>|,\\]{3,200})@(?=[\w\[$%{-])",
    ),
    _login(
        "url-credentials",
        "credentials in a URL",
        ("://",),
        r"://(?P<secret>[A-Za-z0-9_-]{20,200})@(?=[\w\[])",
    ),
    _login(
        "netrc",
        "a login of a netrc file",
        ("machine ",),
        r"machine\s{1,4}\S{1,100}\s{1,8}login\s{1,4}\S{1,100}\s{1,8}password\s{1,4}(?P<secret>\S{3,200})",
    ),
    _login(
        "npmrc",
        "a login of an npm configuration",
        (":_",),
        r":_(?:authToken|auth|password)\s{0,3}=\s{0,3}(?P<secret>[^\s$]{8,300})",
    ),
    _login(
        "docker-login",
        "a login of a container registry",
        ('"auth"',),
        r"\"auth\"\s{0,4}:\s{0,4}\"(?P<secret>[A-Za-z0-9+/]{12,400}={0,2})\"",
    ),
    _text(
        "kubeconfig",
        "a key of a Kubernetes configuration",
        ("client-key-data",),
        r"client-key-data:\s{0,4}(?P<secret>[A-Za-z0-9+/]{40})",
    ),
)
