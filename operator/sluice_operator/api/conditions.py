"""The words of conditions and events: which there are, what each means, what to do.

Reasons are API: programs compare them, so that none is ever renamed. `docs/status.md` has
each of them in these very sentences.
"""

from enum import StrEnum

ACCEPTED = "Accepted"
CREDENTIALS_READY = "CredentialsReady"
TARGETS_AVAILABLE = "TargetsAvailable"
OVERCOMMITTED = "Overcommitted"
PROGRESSING = "Progressing"
PAUSED = "Paused"
READY = "Ready"

TYPES = (
    *(ACCEPTED, CREDENTIALS_READY, TARGETS_AVAILABLE, OVERCOMMITTED, PROGRESSING, PAUSED, READY),
)
"""In the order in which a proxy comes to life; a status always has all of them."""

RECONCILING = "Reconciling"
STALLED = "Stalled"

KSTATUS_TYPES = (RECONCILING, STALLED)
"""For kstatus (Flux, kpt, `helm --wait`), and only there while they are True."""

TRUE, FALSE, UNKNOWN = "True", "False", "Unknown"

EVENT = ""
"""In place of a condition: the reason is an event's alone."""


class Reason(StrEnum):
    """A CamelCase word with the condition that says it first, its meaning, and what to do.

    `Ready`, `Reconciling` and `Stalled` repeat the reason of the condition they follow.
    `remedy` is an imperative that ends a message; empty where nothing is to be done.
    """

    condition: str
    meaning: str
    remedy: str

    def __new__(cls, word: str, condition: str, meaning: str, remedy: str = "") -> "Reason":
        reason = str.__new__(cls, word)
        reason._value_ = word
        reason.condition, reason.meaning, reason.remedy = condition, meaning, remedy
        return reason

    VALID = "Valid", ACCEPTED, "the spec is carried out; the message may hold notes"
    INVALID = (
        "Invalid",
        ACCEPTED,
        "a field has a value that this version of the operator refuses",
        "correct the field",
    )
    UNSUPPORTED_ENGINE_FAMILY = (
        "UnsupportedEngineFamily",
        ACCEPTED,
        "`engineFamily` names another kind of database",
        "set it to PostgreSQL, the only one there is",
    )
    NAME_TAKEN = (
        "NameTaken",
        ACCEPTED,
        "an object of somebody else has a name that the proxy needs",
        "rename one of them",
    )
    REJECTED = (
        "Rejected",
        ACCEPTED,
        "the API server refuses an object that follows from the spec",
        "change the field that it names, or the policy of the cluster that forbids it",
    )
    FORBIDDEN = (
        "Forbidden",
        ACCEPTED,
        "the operator may not write an object: by a quota, a policy, or RBAC",
        "raise the quota, change what the policy denies, or give the operator the rights of its "
        "chart",
    )

    RESOLVED = "Resolved", CREDENTIALS_READY, "all Secrets are there and can be read"
    NOT_ACCEPTED = (
        "NotAccepted",
        CREDENTIALS_READY,
        "the spec is not accepted, so no Secret counts",
        "see the condition Accepted",
    )
    SECRET_NOT_FOUND = (
        "SecretNotFound",
        CREDENTIALS_READY,
        "a Secret that the spec names does not exist",
        "create it in the namespace of the DatabaseProxy, or correct the name",
    )
    SECRET_KEY_NOT_FOUND = (
        "SecretKeyNotFound",
        CREDENTIALS_READY,
        "a Secret lacks a key, or the key is empty",
        "give the Secret this key",
    )
    INVALID_SECRET = (
        "InvalidSecret",
        CREDENTIALS_READY,
        "a key of a Secret holds what cannot be used",
        "correct the Secret",
    )
    DUPLICATE_ROLE = (
        "DuplicateRole",
        CREDENTIALS_READY,
        "two Secrets are of the same role",
        "take one of them out of spec.auth",
    )
    INVALID_CA = (
        "InvalidCA",
        CREDENTIALS_READY,
        "`caSecretRef` leads to no PEM bundle of certificates",
        "put the certificate of the CA there",
    )
    INVALID_CERTIFICATE = (
        "InvalidCertificate",
        CREDENTIALS_READY,
        "`tls.secretRef` holds no usable pair",
        "put a PEM certificate into tls.crt and its private key into tls.key",
    )
    CERTIFICATE_EXPIRED = (
        "CertificateExpired",
        CREDENTIALS_READY,
        "the certificate of `tls.secretRef` has expired",
        "renew it, or take spec.tls.secretRef out and let the operator issue one",
    )
    CERTIFICATE_NOT_YET_VALID = (
        "CertificateNotYetValid",
        CREDENTIALS_READY,
        "the certificate of `tls.secretRef` is not valid yet",
        "put one there that is, or correct the clock of whoever issues it",
    )

    AVAILABLE = "Available", TARGETS_AVAILABLE, "the proxy can log in on the server"
    REGISTERING = "Registering", TARGETS_AVAILABLE, "the server is being asked"
    NO_ANSWER = (
        "NoAnswer",
        TARGETS_AVAILABLE,
        "no ready pod has told yet how the server is",
        "wait; if it lasts, let the operator's pods reach port 9127 of the proxy's pods",
    )
    AUTH_FAILURE = (
        "AuthFailure",
        TARGETS_AVAILABLE,
        "the server refuses a role or its password",
        "put the password that the server knows into the role's Secret, or let the role in "
        "(pg_hba.conf, LOGIN)",
    )
    UNREACHABLE = (
        "Unreachable",
        TARGETS_AVAILABLE,
        "nothing answers at the target's host and port",
        "correct host or port, start the server, or open what lies between (firewalls, "
        "NetworkPolicies, spec.network.databaseCIDRs)",
    )
    HOST_NOT_FOUND = (
        "HostNotFound",
        TARGETS_AVAILABLE,
        "the target's host has no address",
        "correct the host, or create the Service or the DNS record",
    )
    TLS_REFUSED = (
        "TLSRefused",
        TARGETS_AVAILABLE,
        "the server does not speak TLS as `targetTLS` asks",
        "switch TLS on at the server, or set spec.targetTLS to what it speaks",
    )
    CERTIFICATE_INVALID = (
        "CertificateInvalid",
        TARGETS_AVAILABLE,
        "the server's certificate does not stand the check: another CA, another name, or expired",
        "put the CA that signed it into the Secret of spec.targetTLS.caSecretRef, write the "
        "host that it names into spec.targets, or renew it",
    )
    TOO_MANY_CONNECTIONS = (
        "TooManyConnections",
        TARGETS_AVAILABLE,
        "the server has no room for a connection",
        "lower maxConnectionsPercent of what shares the server, end connections that others "
        "hold, or raise the server's max_connections or the CONNECTION LIMIT that it names",
    )
    INIT_QUERY_FAILED = (
        "InitQueryFailed",
        TARGETS_AVAILABLE,
        "`initQuery` fails on new server connections",
        "correct the query, or give the roles what it needs",
    )
    DATABASE_NOT_FOUND = (
        "DatabaseNotFound",
        TARGETS_AVAILABLE,
        "the database of a Secret does not exist",
        "create the database, or correct the key dbname (or the uri) of the Secret",
    )
    CONNECTION_FAILED = (
        "ConnectionFailed",
        TARGETS_AVAILABLE,
        "the login fails for another cause",
        "see what the server says, here and in its log",
    )

    WITHIN_LIMITS = (
        "WithinLimits",
        OVERCOMMITTED,
        "who shares the database asks for 100 % at most",
    )
    SHARED_BUDGET_EXCEEDED = (
        "SharedBudgetExceeded",
        OVERCOMMITTED,
        "DatabaseProxies of the same database ask for more than 100 % together",
        "lower their maxConnectionsPercent until the sum is 100",
    )

    SETTLED = "Settled", PROGRESSING, "all pods are of the newest kind and serve the spec"
    ROLLING_OUT = "RollingOut", PROGRESSING, "pods are being started or replaced"
    CONFIGURATION_PENDING = (
        "ConfigurationPending",
        PROGRESSING,
        "pods have not yet taken a change of settings, passwords or certificates",
    )
    CONFIGURATION_REFUSED = (
        "ConfigurationRefused",
        PROGRESSING,
        "pods refuse the configuration and keep the last",
        "correct the field; if it names none, give proxy and operator the same version",
    )
    BLOCKED = (
        "Blocked",
        PROGRESSING,
        "nothing changes until another condition holds",
        "see the conditions Accepted and CredentialsReady",
    )
    SUSPENDED = (
        "Suspended",
        PROGRESSING,
        "`suspend` is set: nothing is written or deleted",
        "set spec.suspend to false to go on",
    )
    BUDGET_TOO_SMALL = (
        "BudgetTooSmall",
        PROGRESSING,
        "there are fewer server connections than pods",
        "raise maxConnectionsPercent or the server's max_connections, or lower replicas",
    )
    API_SERVER_ERROR = (
        "APIServerError",
        PROGRESSING,
        "the API server fails to write an object that follows from the spec",
        "wait, for it is tried again; if it lasts, repair what the server names, mostly a webhook",
    )
    IMAGE_PULL_FAILED = (
        "ImagePullFailed",
        PROGRESSING,
        "the nodes cannot get the proxy's image",
        "correct the image in the values of the chart, let the nodes reach the registry, or "
        "name a Secret in spec.podTemplate.imagePullSecrets",
    )
    UNSCHEDULABLE = (
        "Unschedulable",
        PROGRESSING,
        "no node takes a pod",
        "add room to the cluster, or ask for less under spec.podTemplate (resources, "
        "nodeSelector, affinity, tolerations)",
    )
    PODS_CRASHING = (
        "PodsCrashing",
        PROGRESSING,
        "the container of a pod ends again and again",
        "read its log by kubectl logs --previous; after OOMKilled raise the memory limit in "
        "spec.podTemplate.resources",
    )
    PODS_NOT_STARTING = (
        "PodsNotStarting",
        PROGRESSING,
        "the kubelet cannot start the container of a pod",
        "correct what the kubelet names, mostly under spec.podTemplate",
    )
    PODS_REFUSED = (
        "PodsRefused",
        PROGRESSING,
        "the API server takes no pod: a quota, a policy, a webhook",
        "raise the quota, or change spec.podTemplate to what the policy wants",
    )
    PROGRESS_DEADLINE_EXCEEDED = (
        "ProgressDeadlineExceeded",
        PROGRESSING,
        "a rollout has come no further for minutes",
        "see why the pods are not ready, by kubectl describe pod and their logs",
    )

    DRAINING = (
        "Draining",
        PAUSED,
        "nobody used it: its pods are ending, and serve whoever still comes",
    )
    WAKING = "Waking", PAUSED, "pods are being started; clients are held until one listens"
    IN_USE = "InUse", PAUSED, "clients are connected, or left less than `idleSeconds` ago"
    AWAKE = "Awake", PAUSED, "something is under way, or not as it should be: the message says what"
    AUTO_PAUSE_DISABLED = "AutoPauseDisabled", PAUSED, "`autoPause` is switched off"
    NO_ACTIVATOR = (
        "NoActivator",
        PAUSED,
        "there is no activator that could wake it",
        "let the chart install activators (activator.enabled), or see why none of their pods is "
        "ready",
    )
    # The last, and without the name of its type: from here on that is the reason's own.
    PAUSED = (*("Paused", "Paused", "no pod runs; the next connection wakes it"),)

    SERVING = "Serving", READY, "a client can log in now"
    PODS_NOT_READY = "PodsNotReady", READY, "no pod is ready yet"

    RESUMED = "Resumed", EVENT, "`suspend` was taken back"
    SCALED = "Scaled", EVENT, "the number of pods was changed"
    WOKEN = "Woken", EVENT, "a paused proxy serves again; by whom, and after how many seconds"
    CREDENTIALS_ROTATED = (
        "CredentialsRotated",
        EVENT,
        "a Secret has a new password; clients may use the one before it for `rotationGraceSeconds`",
    )
    CERTIFICATE_RENEWED = (*("CertificateRenewed", EVENT, "clients are shown another certificate"),)


_BY_WORD = {reason.value: reason for reason in Reason}


def reason_of(word: str, otherwise: Reason | None = None) -> Reason:
    """The reason of that word, or `otherwise`. Raises KeyError where neither is."""
    found = _BY_WORD.get(word, otherwise)
    if found is None:
        raise KeyError(word)
    return found
