{{- define "sluice.fullname" -}}
{{- if contains "sluice" .Release.Name -}}
{{- printf "%s-operator" .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-sluice-operator" .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The labels by which the proxies' network policies know the operator: fixed. */}}
{{- define "sluice.selectorLabels" -}}
app.kubernetes.io/name: sluice-operator
app.kubernetes.io/part-of: sluice
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "sluice.labels" -}}
{{ include "sluice.selectorLabels" . }}
{{ include "sluice.commonLabels" . }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "sluice.activatorFullname" -}}
{{- printf "%s-activator" (include "sluice.fullname" . | trimSuffix "-operator" | trunc 53 | trimSuffix "-") -}}
{{- end -}}

{{/* The labels by which the proxies' network policies know the activators: fixed. */}}
{{- define "sluice.activatorSelectorLabels" -}}
app.kubernetes.io/name: sluice-activator
app.kubernetes.io/part-of: sluice
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "sluice.activatorLabels" -}}
{{ include "sluice.activatorSelectorLabels" . }}
{{ include "sluice.commonLabels" . }}
app.kubernetes.io/component: activator
{{- end -}}

{{- define "sluice.commonLabels" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* The pod of `helm test`: not one of the operator's, but let in by its network policy. */}}
{{- define "sluice.testLabels" -}}
app.kubernetes.io/name: sluice-test
app.kubernetes.io/part-of: sluice
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* The full name of an image: called with its values and the root, as (dict "image" … "root" …). */}}
{{- define "sluice.image" -}}
{{- with .root.Values.global.imageRegistry }}{{ trimSuffix "/" . }}/{{ end -}}
{{- .image.repository -}}
{{- if .image.digest }}@{{ .image.digest }}{{ else }}:{{ .image.tag | default .root.Chart.AppVersion }}{{ end -}}
{{- end -}}

{{/* [{name: a}, {name: b}] as a,b */}}
{{- define "sluice.names" -}}
{{- $names := list -}}
{{- range . }}{{ $names = append $names .name }}{{ end -}}
{{- join "," $names -}}
{{- end -}}
