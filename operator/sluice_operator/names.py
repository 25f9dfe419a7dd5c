"""Every name, label, annotation and key that the operator gives or reads."""

GROUP = "sluice.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "DatabaseProxy"
PLURAL = "databaseproxies"
SINGULAR = "databaseproxy"
SHORT_NAME = "dbproxy"

FIELD_MANAGER = "sluice"

CONFIG_HASH = f"{GROUP}/config-hash"
APPLIED_HASH = f"{GROUP}/applied-hash"

WAKE_UID = f"{GROUP}/uid"
WAKE_REPLICAS = f"{GROUP}/replicas"
WAKE_TROUBLE = f"{GROUP}/trouble"
"""What a fallback slice tells the activators: whose it is, to how many pods to wake it, and what
keeps them from coming up."""

PROXY_NAMESPACE = f"{GROUP}/proxy-namespace"
PROXY_NAME = f"{GROUP}/proxy-name"
"""What an object in the operator's own namespace is there for."""

SERVICE_NAME = "kubernetes.io/service-name"
SLICE_MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
SLICE_MANAGER = GROUP
"""The EndpointSlice controller leaves alone what another manager has made."""

LABEL_NAME = "app.kubernetes.io/name"
LABEL_INSTANCE = "app.kubernetes.io/instance"
LABEL_COMPONENT = "app.kubernetes.io/component"
LABEL_PART_OF = "app.kubernetes.io/part-of"
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGED_BY = "sluice"

CA_CRT = "ca.crt"
TLS_CRT = "tls.crt"
TLS_KEY = "tls.key"

CLIENT_PORT_NAME = "postgres"
ADMIN_PORT_NAME = "admin"
ACTIVATOR_PORT_NAME = "activator"

CONTAINER = "proxy"
CONFIG_MOUNT = "/etc/sluice"


def service(proxy: str) -> str:
    """The host that clients write into their connection line."""
    return proxy


def peers(proxy: str) -> str:
    """The headless Service by which the pods of a proxy find each other."""
    return f"{proxy}-peers"


def peers_host(proxy: str, namespace: str) -> str:
    return f"{peers(proxy)}.{namespace}.svc"


def workload(proxy: str) -> str:
    """Deployment, ServiceAccount, NetworkPolicy and PodDisruptionBudget of a proxy."""
    return f"{proxy}-proxy"


def fallback_slice(proxy: str) -> str:
    """The EndpointSlice by which the Service leads to the activators while there is no pod."""
    return f"{proxy}-activator"


def activator_policy(proxy: str, namespace: str) -> str:
    """The NetworkPolicy, beside the activators, that lets a proxy's clients reach them."""
    return f"{namespace}.{proxy}"


def config_secret(proxy: str) -> str:
    return f"{proxy}-proxy-config"


def tls_secret(proxy: str) -> str:
    """Where the operator keeps the certificate it issued: never mounted by clients."""
    return f"{proxy}-proxy-tls"


def ca_key_secret(proxy: str) -> str:
    """The key that signs a proxy's certificates."""
    return f"{proxy}-proxy-ca-key"


def ca_secret(proxy: str) -> str:
    """`ca.crt` alone, for clients to mount and verify the proxy with."""
    return f"{proxy}-proxy-ca"


def remembered(proxy: str) -> tuple[str, ...]:
    """The Secrets that hold what cannot be made again as it was."""
    return ca_key_secret(proxy), tls_secret(proxy), config_secret(proxy)


def children(proxy: str) -> tuple[tuple[str, str], ...]:
    """Kind and name of everything that may be made for a proxy."""
    return (
        ("EndpointSlice", fallback_slice(proxy)),
        ("Secret", ca_key_secret(proxy)),
        ("Secret", tls_secret(proxy)),
        ("Secret", ca_secret(proxy)),
        ("Secret", config_secret(proxy)),
        ("ServiceAccount", workload(proxy)),
        ("NetworkPolicy", workload(proxy)),
        ("Service", service(proxy)),
        ("Service", peers(proxy)),
        ("PodDisruptionBudget", workload(proxy)),
        ("Deployment", workload(proxy)),
    )


CHILD_KINDS = tuple(dict.fromkeys(kind for kind, _ in children("")))


def selector(proxy: str) -> dict[str, str]:
    """The labels that pick a proxy's pods: few and fixed, for selectors cannot change."""
    return {LABEL_NAME: "sluice-proxy", LABEL_INSTANCE: proxy}


def labels(proxy: str) -> dict[str, str]:
    return {
        **selector(proxy),
        LABEL_COMPONENT: "proxy",
        LABEL_PART_OF: "sluice",
        LABEL_MANAGED_BY: MANAGED_BY,
    }


def dns_names(proxy: str, namespace: str) -> tuple[str, ...]:
    """Every name by which a client of the cluster may call the Service, fullest first."""
    return (
        f"{proxy}.{namespace}.svc",
        f"{proxy}.{namespace}.svc.cluster.local",
        f"{proxy}.{namespace}",
        proxy,
    )


def endpoint(proxy: str, namespace: str) -> str:
    return f"{proxy}.{namespace}.svc"


OPERATOR_LABELS = {LABEL_NAME: "sluice-operator", LABEL_PART_OF: "sluice"}
"""What the chart puts on the operator's pods; the proxies let them read `/state`."""

ACTIVATOR_LABELS = {LABEL_NAME: "sluice-activator", LABEL_PART_OF: "sluice"}
"""What the chart puts on the activators' pods."""
