"""Good and bad pod templates; `specs` has them in its table."""

from sluice_testing.case import Case

POD = "spec.podTemplate"
RESOURCES = f"{POD}.resources"
LABELS = f"{POD}.metadata.labels"
TOLERATIONS = f"{POD}.tolerations"
SPREAD = f"{POD}.topologySpreadConstraints"
AFFINITY = f"{POD}.affinity"
SECURITY = f"{POD}.securityContext"

BY_NODE = {
    "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
}  # fmt: skip
BY_ZONE = {**BY_NODE, "topologyKey": "topology.kubernetes.io/zone"}
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
NODE_TERMS = {"nodeSelectorTerms": [
    {"matchExpressions": [{"key": "pool", "operator": "In", "values": ["database"]}]},
]}  # fmt: skip
NEAR_CLIENTS = {
    "topologyKey": "topology.kubernetes.io/zone",
    "labelSelector": {"matchLabels": {"tier": "functions"}},
}

GOOD = (
    Case("an empty pod template", {POD: {}}),
    Case("labels and annotations", {f"{POD}.metadata": {
        "labels": {"team": "shop", "example.com/cost-centre": "4711", "empty": ""},
        "annotations": {"sidecar.istio.io/inject": "false", "note": "x" * 4096},
    }}),
    Case("resources in every notation", {RESOURCES: {
        "requests": {"cpu": "250m", "memory": "134217728", "ephemeral-storage": "1.5Gi"},
        "limits": {"cpu": 2, "memory": "0.5Gi", "ephemeral-storage": 2000000000},
    }}),
    Case("requests as large as limits", {RESOURCES: {
        "requests": {"cpu": "1000m", "memory": "1024Ki"},
        "limits": {"cpu": "1.0", "memory": "1Mi"},
    }}),
    Case("nothing asked for", {RESOURCES: {"requests": {"cpu": 0, "memory": "0"}}}),
    Case("limits alone", {RESOURCES: {"limits": {"memory": "64M"}}}),
    Case("a place to run", {
        f"{POD}.nodeSelector": {"kubernetes.io/arch": "arm64", "pool": "database"},
        f"{POD}.priorityClassName": "system-cluster-critical",
        f"{POD}.imagePullSecrets": [{"name": "registry"}, {"name": "mirror.example.com"}],
    }),
    Case("tolerations of each kind", {TOLERATIONS: [
        {"operator": "Exists"},
        {"key": "dedicated", "value": "database", "effect": "NoSchedule"},
        {"key": "example.com/spot", "operator": "Exists", "effect": "PreferNoSchedule"},
        {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute",
         "tolerationSeconds": 0},
        {"key": "bare", "operator": "Equal"},
    ]}),
    Case("affinity of each kind", {AFFINITY: {
        "nodeAffinity": {
            REQUIRED: NODE_TERMS,
            PREFERRED: [{"weight": 1, "preference": NODE_TERMS["nodeSelectorTerms"][0]}],
        },
        "podAffinity": {PREFERRED: [{"weight": 100, "podAffinityTerm": NEAR_CLIENTS}]},
        "podAntiAffinity": {REQUIRED: [NEAR_CLIENTS]},
    }}),
    Case("spread in every way", {SPREAD: [
        BY_NODE,
        {**BY_NODE, "whenUnsatisfiable": "DoNotSchedule", "minDomains": 3,
         "nodeAffinityPolicy": "Ignore", "nodeTaintsPolicy": "Honor"},
        {**BY_ZONE, "maxSkew": 2, "matchLabelKeys": ["pod-template-hash"],
         "labelSelector": {"matchLabels": {"team": "shop"}}},
    ]}),
    Case("users and groups", {SECURITY: {
        "runAsUser": 1, "runAsGroup": 0, "fsGroup": 2147483647, "supplementalGroups": [0, 5000],
    }}),
    Case("the shortest grace", {f"{POD}.terminationGracePeriodSeconds": 15}),
    Case("the longest grace", {f"{POD}.terminationGracePeriodSeconds": 3600}),
)  # fmt: skip

BAD = (
    Case("a pod template that is a list", {POD: []}, POD),
    Case("a label of ours", {LABELS: {"app.kubernetes.io/instance": "mine"}}, LABELS),
    Case("a label under our name", {LABELS: {"sluice.dev/team": "mine"}}, LABELS),
    Case("a label that is a sentence", {LABELS: {"note": "who owns it"}}, f"{LABELS}.note"),
    Case("a label's name of 64 letters", {LABELS: {"n" * 64: ""}}, LABELS),
    Case("33 labels", {LABELS: {f"n{number}": "" for number in range(33)}}, LABELS),
    Case("an annotation of ours", {f"{POD}.metadata.annotations": {"sluice.dev/config-hash": "1"}},
         f"{POD}.metadata.annotations"),
    Case("a long annotation", {f"{POD}.metadata.annotations": {"note": "x" * 4097}},
         f"{POD}.metadata.annotations.note"),
    Case("an annotation without a name", {f"{POD}.metadata.annotations": {"example.com/": "x"}},
         f"{POD}.metadata.annotations"),
    Case("CPU in words", {f"{RESOURCES}.requests": {"cpu": "half"}}, f"{RESOURCES}.requests.cpu"),
    Case("CPU below nothing", {f"{RESOURCES}.requests": {"cpu": -1}}, f"{RESOURCES}.requests.cpu"),
    Case("a thousand cores", {f"{RESOURCES}.requests": {"cpu": 1000}}, f"{RESOURCES}.requests.cpu"),
    Case("CPU in thousandths of thousandths", {f"{RESOURCES}.limits": {"cpu": "0.5m"}},
         f"{RESOURCES}.limits.cpu"),
    Case("a switch for CPU", {f"{RESOURCES}.limits": {"cpu": True}}, f"{RESOURCES}.limits.cpu"),
    Case("CPU as a fraction without quotes", {f"{RESOURCES}.limits": {"cpu": 0.5}},
         f"{RESOURCES}.limits.cpu"),
    Case("memory in thousandths", {f"{RESOURCES}.limits": {"memory": "128m"}},
         f"{RESOURCES}.limits.memory"),
    Case("memory with a part of a byte", {f"{RESOURCES}.limits": {"memory": "1.001Ki"}},
         f"{RESOURCES}.limits.memory"),
    Case("memory in another spelling", {f"{RESOURCES}.limits": {"memory": "64MB"}},
         f"{RESOURCES}.limits.memory"),
    Case("more memory asked for than allowed",
         {RESOURCES: {"requests": {"memory": "1Gi"}, "limits": {"memory": "1G"}}}, RESOURCES),
    Case("more CPU asked for than allowed",
         {RESOURCES: {"requests": {"cpu": 1}, "limits": {"cpu": "999m"}}}, RESOURCES),
    Case("more disk asked for than allowed",
         {RESOURCES: {"requests": {"ephemeral-storage": 2}, "limits": {"ephemeral-storage": 1}}},
         RESOURCES),
    Case("a node's label that is none", {f"{POD}.nodeSelector": {"-pool": "a"}},
         f"{POD}.nodeSelector"),
    Case("an impossible class", {f"{POD}.priorityClassName": "High"}, f"{POD}.priorityClassName"),
    Case("a pull secret without a name", {f"{POD}.imagePullSecrets": [{}]},
         f"{POD}.imagePullSecrets[0].name"),
    Case("a pull secret twice", {f"{POD}.imagePullSecrets": [{"name": "a"}, {"name": "a"}]},
         f"{POD}.imagePullSecrets"),
    Case("a toleration of nothing", {TOLERATIONS: [{"value": "a"}]}, f"{TOLERATIONS}[0]"),
    Case("Exists with a value", {TOLERATIONS: [{"key": "a", "operator": "Exists", "value": "b"}]},
         f"{TOLERATIONS}[0]"),
    Case("seconds for NoSchedule",
         {TOLERATIONS: [{"key": "a", "effect": "NoSchedule", "tolerationSeconds": 5}]},
         f"{TOLERATIONS}[0]"),
    Case("an unknown operator", {TOLERATIONS: [{"key": "a", "operator": "In"}]},
         f"{TOLERATIONS}[0].operator"),
    Case("an unknown effect", {TOLERATIONS: [{"key": "a", "effect": "noschedule"}]},
         f"{TOLERATIONS}[0].effect"),
    Case("affinity in words", {AFFINITY: "near the database"}, AFFINITY),
    Case("affinity as a list", {AFFINITY: []}, AFFINITY),
    Case("a term in words", {f"{AFFINITY}.podAffinity": {REQUIRED: ["near"]}},
         f"{AFFINITY}.podAffinity.{REQUIRED}[0]"),
    Case("nodes chosen by a list", {f"{AFFINITY}.nodeAffinity": {REQUIRED: [NODE_TERMS]}},
         f"{AFFINITY}.nodeAffinity.{REQUIRED}"),
    Case("spread with no skew", {SPREAD: [{**BY_NODE, "maxSkew": 0}]}, f"{SPREAD}[0].maxSkew"),
    Case("spread over nothing", {SPREAD: [{"maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}]},
         f"{SPREAD}[0].topologyKey"),
    Case("the same spread twice", {SPREAD: [BY_NODE, {**BY_NODE, "maxSkew": 2}]}, SPREAD),
    Case("an unknown way to give in", {SPREAD: [{**BY_NODE, "whenUnsatisfiable": "Never"}]},
         f"{SPREAD}[0].whenUnsatisfiable"),
    Case("domains that do not matter", {SPREAD: [{**BY_NODE, "minDomains": 2}]}, f"{SPREAD}[0]"),
    Case("a key that selects twice",
         {SPREAD: [{**BY_NODE, "matchLabelKeys": ["app.kubernetes.io/name"]}]}, f"{SPREAD}[0]"),
    Case("a key that the selector has",
         {SPREAD: [{**BY_NODE, "matchLabelKeys": ["team"],
                    "labelSelector": {"matchLabels": {"team": "shop"}}}]},
         f"{SPREAD}[0]"),
    Case("a key that an expression has",
         {SPREAD: [{**BY_NODE, "matchLabelKeys": ["team"], "labelSelector": {
             "matchExpressions": [{"key": "team", "operator": "Exists"}]}}]},
         f"{SPREAD}[0]"),
    Case("a key twice", {SPREAD: [{**BY_NODE, "matchLabelKeys": ["team", "team"]}]},
         f"{SPREAD}[0].matchLabelKeys"),
    Case("a policy that is none", {SPREAD: [{**BY_NODE, "nodeTaintsPolicy": "Obey"}]},
         f"{SPREAD}[0].nodeTaintsPolicy"),
    Case("root", {SECURITY: {"runAsUser": 0}}, f"{SECURITY}.runAsUser"),
    Case("a user by name", {SECURITY: {"runAsUser": "nobody"}}, f"{SECURITY}.runAsUser"),
    Case("a group below nothing", {SECURITY: {"supplementalGroups": [5, -1]}},
         f"{SECURITY}.supplementalGroups[1]"),
    Case("no time to end", {f"{POD}.terminationGracePeriodSeconds": 14},
         f"{POD}.terminationGracePeriodSeconds"),
    Case("more than an hour to end", {f"{POD}.terminationGracePeriodSeconds": 3601},
         f"{POD}.terminationGracePeriodSeconds"),
)  # fmt: skip

UNKNOWN = (
    Case("a container of one's own", {f"{POD}.containers": []}, f"{POD}.containers"),
    Case("what Pod Security forbids", {f"{SECURITY}.privileged": True}, f"{SECURITY}.privileged"),
    Case(
        "a resource that a proxy cannot use",
        {f"{RESOURCES}.limits": {"nvidia.com/gpu": 1}},
        f"{RESOURCES}.limits.nvidia.com/gpu",
    ),
    Case(
        "affinity to what there is not",
        {f"{AFFINITY}.rackAffinity": {}},
        f"{AFFINITY}.rackAffinity",
    ),
)
