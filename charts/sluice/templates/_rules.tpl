{{/* What the operator may do in each namespace that it watches. */}}
{{- define "sluice.rules" -}}
# What users ask for. The operator never writes their objects, only what it saw of them.
- apiGroups: [sluice.dev]
  resources: [databaseproxies]
  verbs: [get, list, watch]
- apiGroups: [sluice.dev]
  resources: [databaseproxies/status]
  verbs: [patch]
# Clusters that enforce owner references ask this of whoever sets blockOwnerDeletion.
- apiGroups: [sluice.dev]
  resources: [databaseproxies/finalizers]
  verbs: [update]
# Roles and CAs are read from the users' Secrets, wherever a DatabaseProxy is; the proxy's
# configuration and certificates are written to Secrets of our own. Deleted are only those
# that are no longer needed, such as an issued certificate once the user brings one.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, patch, delete]
# The host that clients connect to, and the name by which pods find each other; and a target's
# Service tells which pods to let through.
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch]
# The proxy's own, which may do nothing.
- apiGroups: [""]
  resources: [serviceaccounts]
  verbs: [get, list, watch, create, patch]
# The proxy's pods.
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch]
# How many there are: none while the proxy is paused. Written only as it was read, so that the
# activator that wakes it at the same moment wins.
- apiGroups: [apps]
  resources: [deployments/scale]
  verbs: [get, patch]
# Lists the activators in a slice of the proxy's Service, for while it has no pod that is ready;
# deleted when there are no activators any more. The pods' own slices are Kubernetes'.
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch, create, patch, delete]
# OpenShift asks this of whoever lists addresses of pods. Kubernetes itself does not know it.
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices/restricted]
  verbs: [create]
# Who may reach the proxy, and what it may reach.
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch]
# A drained node takes one pod of a proxy at a time. One of a single pod would hold up every
# drain: it is deleted when the replicas fall to one.
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
# Where to ask for /state; an annotation makes the kubelet refresh a changed Secret at once.
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, patch]
# What happened to a DatabaseProxy; the same again is counted in the Event that is there.
- apiGroups: [""]
  resources: [events]
  verbs: [get, create, patch]
{{- end -}}

{{/* What the operator may do in its own namespace. */}}
{{- define "sluice.leaseRules" -}}
# The Lease that says which replica leads. It cannot be named before it exists.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
# This one alone is read, renewed, and given up at a clean stop.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ include "sluice.fullname" . }}]
  verbs: [get, update, patch]
{{- end -}}

{{/* What the operator may do in its own namespace for the sake of the activators. */}}
{{- define "sluice.activatorPodRules" -}}
# Where the activators are, and whether they are ready: what it lists in the proxies' slices.
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
{{- end -}}

{{/* And where a NetworkPolicy stands before them. */}}
{{- define "sluice.activatorPolicyRules" -}}
# One for each proxy: its clients, and no others, reach its port at the activators. It goes with
# the proxy, which is of another namespace and so cannot own it; and all of them go where
# networkPolicy.enabled was switched off, or they would keep out whatever they do not name.
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, delete]
{{- end -}}

{{/* What an activator may do in each namespace that is watched. */}}
{{- define "sluice.activatorRules" -}}
# The operator's slices say for which proxies to listen, and those of Kubernetes where their pods
# are.
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
# Wakes a proxy: its number of pods, and nothing else of a Deployment.
- apiGroups: [apps]
  resources: [deployments/scale]
  verbs: [get, patch]
{{- end -}}
